"""OpenBao as an OpenID provider: people with passwords and groups, and what its own page would do for them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.peers.openbao import OpenBao

CLIENT = "pierhead"
_GROUPS = '{"groups": {{identity.entity.groups.names}}}'
_PROFILE = '{"preferred_username": {{identity.entity.name}}}'


class Provider:
    """`bao` becomes the provider `default`; `redirect` is the only address that it sends people back to."""

    def __init__(self, bao: OpenBao, redirect: str) -> None:
        self.bao = bao
        self.issuer = f"{bao.url}/v1/identity/oidc/provider/default"
        bao.call("POST", "sys/auth/userpass", {"type": "userpass"}).expect(204)
        mounts = bao.call("GET", "sys/auth").expect(200).body
        self._accessor = str(mounts["data"]["userpass/"]["accessor"])
        bao.call("POST", "identity/oidc/scope/groups", {"template": _GROUPS}).expect(200, 204)
        bao.call("POST", "identity/oidc/scope/profile", {"template": _PROFILE}).expect(200, 204)
        client = {"redirect_uris": [redirect], "assignments": ["allow_all"], "id_token_ttl": "10m"}
        bao.call("POST", f"identity/oidc/client/{CLIENT}", client).expect(200, 204)
        told = bao.call("GET", f"identity/oidc/client/{CLIENT}").expect(200).body["data"]
        self.client_id, self.client_secret = str(told["client_id"]), str(told["client_secret"])
        provider = {"allowed_client_ids": [self.client_id], "scopes_supported": ["groups", "profile"]}
        bao.call("POST", "identity/oidc/provider/default", provider).expect(200, 204)

    def add(self, name: str, password: str, groups: Sequence[str]) -> None:
        """A person, in these groups and no others."""
        bao = self.bao
        bao.call("POST", f"auth/userpass/users/{name}", {"password": password}).expect(200, 204)
        bao.call("POST", "identity/entity", {"name": name}).expect(200, 204)
        entity = str(bao.call("GET", f"identity/entity/name/{name}").expect(200).body["data"]["id"])
        alias = {"name": name, "canonical_id": entity, "mount_accessor": self._accessor}
        bao.call("POST", "identity/entity-alias", alias).expect(200, 204)
        for group in groups:
            self.join(group, entity)

    def entity_of(self, name: str) -> str:
        """The provider's own name for somebody, which it gives as `sub`."""
        return str(self.bao.call("GET", f"identity/entity/name/{name}").expect(200).body["data"]["id"])

    def join(self, group: str, *entities: str) -> None:
        """The group has these members from now on."""
        self.bao.call("POST", "identity/group", {"name": group, "member_entity_ids": list(entities)}).expect(200, 204)

    def rename(self, name: str, other: str) -> None:
        """The same person under another name."""
        self.bao.call("POST", f"identity/entity/id/{self.entity_of(name)}", {"name": other}).expect(200, 204)

    def consent(self, address: str, name: str, password: str) -> str:
        """What the provider's own page does at `address`: logs somebody in, asks for a code, and says where to go."""
        login = self.bao.call("POST", f"auth/userpass/login/{name}", {"password": password}, token="").expect(200)
        query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        path = f"identity/oidc/provider/default/authorize?{urlencode(query)}"
        told = self.bao.call("GET", path, token=str(login.body["auth"]["client_token"])).expect(200).body
        return f"{query['redirect_uri']}?{urlencode({'code': told['code'], 'state': query['state']})}"
