"""A Linux program of some 170 bytes, so that an image made from nothing can be run and not only moved."""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS_BYTES = 64 + 56


def hello_program(message: bytes = b"hello from the pier\n") -> bytes:
    """An ELF executable for x86-64 that writes `message` to standard output and ends with 0 (elf(5), syscall(2))."""
    text = _BASE + _HEADERS_BYTES

    def code(address_of_message: int) -> bytes:
        steps = (
            b"\xb8\x01\x00\x00\x00",  # mov eax, 1: write
            b"\xbf\x01\x00\x00\x00",  # mov edi, 1: standard output
            b"\xbe" + struct.pack("<I", address_of_message),  # mov esi, message
            b"\xba" + struct.pack("<I", len(message)),  # mov edx, its length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\x00\x00\x00",  # mov eax, 60: exit
            b"\x31\xff",  # xor edi, edi: with 0
            b"\x0f\x05",  # syscall
        )
        return b"".join(steps)

    body = code(text + len(code(0))) + message
    size = _HEADERS_BYTES + len(body)
    ident = b"\x7fELF" + bytes((2, 1, 1, 0)) + bytes(8)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 2, 62, 1, text, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    loaded = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + loaded + body
