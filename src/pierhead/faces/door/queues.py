"""What the kernel holds of a connection, in either direction."""

import socket
import struct
from fcntl import ioctl
from termios import FIONREAD, TIOCOUTQ


def unsent(sock: socket.socket) -> int:
    """Bytes that the kernel holds for the other end of a connection; 0 for one that has ended."""
    return _held(sock, TIOCOUTQ)


def unread(sock: socket.socket) -> int:
    """Bytes that have come from the other end and that nobody has read; 0 for a connection that has ended."""
    return _held(sock, FIONREAD)


def _held(sock: socket.socket, queue: int) -> int:
    try:
        (count,) = struct.unpack("i", ioctl(sock.fileno(), queue, b"\0\0\0\0"))
    except OSError:
        return 0
    return int(count)
