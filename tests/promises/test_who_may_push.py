"""Who may push where, and what is said to who may not: the sentence names the right port, or the way there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.images import image, index
from tests.peers.pierhead import Pierhead, house
from tests.peers.processes import LOOPBACK, free_port


@pytest.fixture(scope="module")
def staged() -> Iterator[Pierhead]:
    """A house with stages, and a proxy whose upstream nobody answers for: no sentence here may need it."""
    with Pierhead(house(upstream=f"http://{LOOPBACK}:{free_port()}")) as started:
        yield started


def test_who_comes_without_a_login_is_told_where_to_log_in(staged: Pierhead) -> None:
    for port in ("main", "docker-hosted-dev", "docker-group"):
        with staged.wire(port, "") as nobody:
            for target in ("/v2/", "/token?scope=repository:team/app:pull"):
                refused = nobody.request("GET", target).expect(401)
                assert refused.message == f"Log in first: `docker login {staged.address(port)}`."


def test_row_124_later_stages_are_filled_by_promotion(staged: Pierhead) -> None:
    pushed = image(seed=1)
    with staged.wire("main", "svc-orchestrator") as publisher:
        publisher.push("docker-hosted-dev/orchestrator/server", "1.4.1", pushed)
        for repository, stage in (("docker-hosted-prod", "prod"), ("docker-hosted-uat", "uat")):
            refused = publisher.put_manifest(f"{repository}/orchestrator/server", "1.4.1", pushed.manifest)
            assert (refused.status, refused.code) == (403, "DENIED")
            assert refused.message == (
                f"{repository} is filled by promotion only: `pierhead promote orchestrator/server:1.4.1 --to {stage}`."
            )
            begun = publisher.request("POST", f"/v2/{repository}/orchestrator/server/blobs/uploads/", b"")
            assert (begun.status, begun.code) == (403, "DENIED")
            assert f"--to {stage}" in begun.message


def test_admin_may_push_to_a_later_stage(staged: Pierhead) -> None:
    with staged.wire("main") as admin:
        admin.push("docker-hosted-prod/orchestrator/server", "9.9.9", image(seed=9))


@pytest.mark.parametrize("account", ["svc-deploy", "svc-promoter", "svc-auditor"])
def test_who_does_not_push_is_told_so_everywhere(account: str, staged: Pierhead) -> None:
    with staged.wire("docker-hosted-dev", account) as wire:
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1")):
            refused = wire.request(method, f"/v2/orchestrator/server/{path}", image().manifest.data)
            assert (refused.status, refused.code) == (403, "DENIED")
            assert refused.message == (
                f"{account} may not push to docker-hosted-dev/orchestrator/server. "
                "Pushing there needs the right `push`, from a role such as `publisher` or a rule under `trust`."
            )


@pytest.mark.parametrize("account", ["svc-orchestrator", "svc-deploy", "svc-promoter", "svc-auditor"])
def test_nobody_but_admin_deletes(account: str, staged: Pierhead) -> None:
    with staged.wire("docker-hosted-dev", "svc-orchestrator") as publisher:
        publisher.push("kept/image", "1", image(seed=5))
    with staged.wire("docker-hosted-dev", account) as wire:
        for path in ("manifests/1", f"manifests/{image(seed=5).digest}", f"blobs/{image(seed=5).config.digest}"):
            refused = wire.request("DELETE", f"/v2/kept/image/{path}")
            assert (refused.status, refused.code) == (403, "DENIED")
            assert "Deleting needs the role `admin`." in refused.message
    with staged.wire("docker-hosted-dev", "svc-deploy") as deployer:
        deployer.get_manifest("kept/image", "1").expect(200)


def test_a_push_to_the_pull_port_names_the_port_that_takes_it(staged: Pierhead) -> None:
    right = staged.address("docker-hosted-dev")
    with staged.wire("docker-group", "svc-orchestrator") as wire:
        for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1"), ("PATCH", "blobs/uploads/x")):
            refused = wire.request(method, f"/v2/orchestrator/server/{path}", image().manifest.data)
            assert (refused.status, refused.code) == (405, "UNSUPPORTED")
            assert refused.headers["Allow"] == "GET, HEAD"
            port = staged.port("docker-group")
            assert refused.message == f"This port ({port}) is for pulling. Push to {right}/orchestrator/server."
    with staged.wire("main", "svc-orchestrator") as wire:
        refused = wire.request("POST", "/v2/docker-group/orchestrator/server/blobs/uploads/", b"")
        assert refused.message == f"docker-group takes no pushes. Push to {right}/orchestrator/server."
    with staged.wire("docker-group", "svc-deploy") as wire:
        refused = wire.request("POST", "/v2/orchestrator/server/blobs/uploads/", b"")
        assert "There is no repository to which you may push this image." in refused.message
    with staged.wire("docker-group") as admin:
        refused = admin.request("DELETE", "/v2/orchestrator/server/manifests/1")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
        members = "docker-hosted-prod, docker-hosted-uat, docker-hosted-dev"
        assert refused.message == (
            f"docker-group is a group: delete in the repository that holds the image ({members})."
        )
    with staged.wire("main") as admin:
        refused = admin.request("DELETE", "/v2/docker-proxy-dockerhub/library/python/manifests/1")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")
        assert refused.message.endswith("is a proxy: what it keeps of its upstream stays.")


def test_a_base_image_asked_of_the_push_port_names_the_pull_port(staged: Pierhead) -> None:
    pull = staged.address("docker-group")
    with staged.wire("docker-hosted-dev", "svc-deploy") as wire:
        missing = wire.get_manifest("python", "3.12-slim")
        assert (missing.status, missing.code) == (404, "MANIFEST_UNKNOWN")
        assert missing.message == (
            f"python:3.12-slim is not in docker-hosted-dev. Docker Hub images come from {pull}/python:3.12-slim."
        )
        reserved = wire.get_manifest("orchestrator/nothing", "1").expect(404)
        assert reserved.message == "orchestrator/nothing:1 is not in docker-hosted-dev."
    with staged.wire("docker-hosted-dev", "svc-auditor") as wire:  # who pulls nothing there either
        missing = wire.get_manifest("python", "3.12-slim").expect(404)
        assert missing.message == "python:3.12-slim is not in docker-hosted-dev."


def test_row_9_and_136_a_proxy_takes_no_push_and_names_who_does(staged: Pierhead) -> None:
    right = staged.address("docker-hosted-dev")
    for account in ("svc-orchestrator", "admin"):
        with staged.wire("main", account) as wire:
            for method, path in (("POST", "blobs/uploads/"), ("PUT", "manifests/1")):
                refused = wire.request(method, f"/v2/docker-proxy-dockerhub/library/x/{path}", image().manifest.data)
                assert (refused.status, refused.code) == (405, "UNSUPPORTED")
                assert refused.message == f"docker-proxy-dockerhub takes no pushes. Push to {right}/library/x."
                assert refused.headers["Allow"] == "GET, HEAD"


@pytest.fixture(scope="module")
def writable() -> Iterator[Pierhead]:
    """A group whose pushes go to one of its members, which is not the first that has a port."""
    config = house(upstream=f"http://{LOOPBACK}:{free_port()}")
    config["repositories"]["docker-group"]["writable"] = "docker-hosted-dev"
    config["repositories"]["docker-hosted-uat"]["listen"] = "auto:docker-hosted-uat"
    with Pierhead(config) as started:
        yield started


def test_a_push_to_a_group_with_a_writable_member_goes_there(writable: Pierhead) -> None:
    pushed = image(seed=30)
    with writable.wire("docker-group", "svc-orchestrator") as group:
        answer = group.push("orchestrator/server", "1", pushed)
        assert answer.headers["Location"] == f"/v2/orchestrator/server/manifests/{pushed.digest}"
        assert group.get_manifest("orchestrator/server", "1").body == pushed.manifest.data
    with writable.wire("docker-hosted-dev", "svc-deploy") as member:
        assert member.get_manifest("orchestrator/server", "1").body == pushed.manifest.data
    with writable.wire("docker-group", "svc-deploy") as deployer:
        refused = deployer.put_manifest("orchestrator/server", "1", pushed.manifest)
        assert (refused.status, refused.code) == (403, "DENIED")


def test_the_right_port_for_a_push_is_that_of_the_writable_member(writable: Pierhead) -> None:
    """Whether the proxy in the group was pushed to, or the main port without a repository; admin may push to all."""
    right = f"Push to {writable.address('docker-hosted-dev')}/team/x."
    with writable.wire() as wire:
        for name in ("docker-proxy-dockerhub/team/x", "team/x"):
            assert right in wire.request("POST", f"/v2/{name}/blobs/uploads/", b"").message


def test_a_client_may_leave_out_what_the_group_shows_of_the_image(writable: Pierhead) -> None:
    """Clients ask HEAD of blobs and children, and send only what is missing; any member may have the rest."""
    multi = index({"linux/amd64": image(seed=31), "linux/arm64": image(seed=32)})
    with writable.wire("main") as admin:
        admin.push("docker-hosted-prod/orchestrator/app", "1", multi)
    with writable.wire("docker-group", "svc-orchestrator") as group:
        for blob in multi.images[0].blobs:
            assert group.request("HEAD", f"/v2/orchestrator/app/blobs/{blob.digest}").status == 200
        group.put_manifest("orchestrator/app", "one", multi.images[0].manifest).expect(201)
        child = multi.images[1].digest
        assert group.request("HEAD", f"/v2/orchestrator/app/manifests/{child}").status == 200
        group.put_manifest("orchestrator/app", "all", multi.manifest).expect(201)
        refused = group.put_manifest("orchestrator/other", "1", multi.images[0].manifest)
        assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    with writable.wire("docker-hosted-dev", "svc-deploy") as member:
        assert member.get_manifest("orchestrator/app", "all").body == multi.manifest.data
        for one in multi.images:
            assert member.get_manifest("orchestrator/app", one.digest).expect(200).body == one.manifest.data
            for blob in one.blobs:
                assert member.get_blob("orchestrator/app", blob.digest).expect(200).body == blob.data


def test_a_blob_is_mounted_from_what_a_group_holds_by_path(writable: Pierhead) -> None:
    """As skopeo asks for it when it copies on the main port, from the group to a repository."""
    one = image(seed=40)
    mount = f"/v2/docker-hosted-dev/mounted/app/blobs/uploads/?mount={one.layers[0].digest}&from=docker-group/mount/app"
    with writable.wire() as admin:
        admin.push("docker-hosted-prod/mount/app", "1", one)
        admin.request("POST", mount, b"").expect(201)
        admin.request("POST", mount.replace("mount/app", "other/app"), b"").expect(202)


def test_no_upstream_is_asked_whether_a_push_may_leave_out_a_blob(writable: Pierhead) -> None:
    digest = "sha256:" + "a" * 64
    with writable.wire("docker-group", "svc-orchestrator") as group:
        assert group.request("HEAD", f"/v2/library/python/blobs/{digest}").status == 404
    with writable.wire("docker-group", "svc-deploy") as group:
        assert group.request("HEAD", f"/v2/library/python/blobs/{digest}").status == 503
