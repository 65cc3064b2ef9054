"""Certificates, passwords and tokens: who is trusted, and who is told what."""

from __future__ import annotations

import base64
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from core.tests.images.archives import oci_files, write_files
from engine.contracts.transport import TransportConfig
from engine.errors import EngineError, ImageError, InvalidInput, Unreachable
from engine.images.library import Library
from engine_transport_registry.driver import RegistryTransport
from plugins.transport_registry.tests.support import AMD64, IMAGE, archive, transport
from tests.testbed.lying import lying
from tests.testbed.registry import PASSWORD, USER, Registry, accounts, copy, serve
from tests.testbed.tokens import give_tokens


def test_tls_is_verified_with_the_authority_of_the_directory(library: Library, tmp_path: Path) -> None:
    layout = write_files(tmp_path / "layout", oci_files(IMAGE))
    (tmp_path / "server").mkdir()
    with serve(tmp_path / "server", tls=True) as registry:
        assert registry.authority is not None
        copy(f"oci:{layout}", f"docker://{registry.domain}/one:1")
        trusted, empty = tmp_path / "trusted", tmp_path / "empty"
        (trusted / registry.domain).mkdir(parents=True)
        (empty / registry.domain).mkdir(parents=True)
        shutil.copy(registry.authority, trusted / registry.domain / "ca.crt")
        name = f"{registry.domain}/one:1"
        for options in ({"certificates": str(empty)}, {"tls-verify": "true"}):
            with pytest.raises(EngineError, match=r"certificate of .* is not trusted") as caught:
                library.pull(name, [transport(**options)], platform=AMD64)
            assert "--tls-verify=false" in caught.value.fix
        for options in ({"certificates": str(trusted)}, {"tls-verify": "false", "certificates": str(empty)}, {}):
            library.pull(name, [transport(**options)], platform=AMD64)
        library.push(name, [transport(certificates=str(trusted))])


def test_plain_http_is_for_this_machine_and_those_that_are_named(
    library: Library, registry: Registry, path: str
) -> None:
    name = f"{registry.domain}/{path}:1"
    with pytest.raises(Unreachable, match="does not speak TLS") as caught:
        library.pull(name, [transport(tls_verify="true")], platform=AMD64)
    assert "--tls-verify=false" in caught.value.fix
    library.pull(name, [transport(insecure=f"other.example, {registry.domain}")], platform=AMD64)


def auth_file(place: Path, domain: str, password: str = PASSWORD, **more: Any) -> str:
    file = place / "config.json"
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {domain: {"auth": auth}}, **more}))
    return str(file)


def test_a_password_is_asked_for_and_sent(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, "one:1"))), [archive()], platform=AMD64)
    (tmp_path / "server").mkdir()
    with serve(tmp_path / "server", auth=accounts(tmp_path)) as registry:
        name = f"{registry.domain}/one:1"
        library.tag("one:1", name)
        with pytest.raises(EngineError, match="gives no access") as caught:
            library.push(name, [transport()])
        assert "docker login" in caught.value.fix
        with pytest.raises(EngineError, match="gives no access") as caught:
            library.push(name, [transport(auth_file=auth_file(tmp_path, registry.domain, "wrong"))])
        assert "Check the credentials" in caught.value.fix
        assert "wrong" not in f"{caught.value} {caught.value.fix}"
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        auth_file(tmp_path, f"https://{registry.domain}/v2/")
        plain = RegistryTransport(TransportConfig({}))
        library.push(name, [plain])
        library.pull(name, [plain], platform=AMD64)


def test_a_helper_is_asked_for_credentials(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, "one:1"))), [archive()], platform=AMD64)
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        f'#!/bin/sh\nread -r domain\necho "$domain" >>{tmp_path}/asked\n'
        f"echo '{json.dumps({'Username': USER, 'Secret': PASSWORD})}'\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "server").mkdir()
    with serve(tmp_path / "server", auth=accounts(tmp_path)) as registry:
        (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry.domain: "test"}}))
        library.tag("one:1", f"{registry.domain}/one:1")
        library.push(f"{registry.domain}/one:1", [transport(auth_file=str(tmp_path / "config.json"))])
        assert (tmp_path / "asked").read_text() == f"{registry.domain}\n"
        helper.write_text("#!/bin/sh\nexit 1\n")
        with pytest.raises(EngineError, match="docker-credential-test failed"):
            library.push(f"{registry.domain}/one:1", [transport(auth_file=str(tmp_path / "config.json"))])


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": 3}', '{"auths": {"DOMAIN": {"auth": "!"}}}'])
def test_broken_credentials_are_an_error_that_does_not_quote_them(text: str, library: Library, tmp_path: Path) -> None:
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, "one:1"))), [archive()], platform=AMD64)
    (tmp_path / "server").mkdir()
    with serve(tmp_path / "server", auth=accounts(tmp_path)) as registry:
        file = tmp_path / "config.json"
        file.write_text(text.replace("DOMAIN", registry.domain))
        library.tag("one:1", f"{registry.domain}/one:1")
        with pytest.raises((InvalidInput, ImageError), match=str(file)):
            library.push(f"{registry.domain}/one:1", [transport(auth_file=str(file))])


def test_a_token_is_bought_for_what_is_to_be_done(library: Library, tmp_path: Path) -> None:
    library.load(str(write_files(tmp_path / "given", oci_files(IMAGE, "one:1"))), [archive()], platform=AMD64)
    (tmp_path / "server").mkdir()
    with give_tokens(tmp_path) as tokens, serve(tmp_path / "server", tls=True, auth=tokens.section()) as registry:
        certificates = tmp_path / "certs.d"
        for domain in (registry.domain, f"127.0.0.1:{tokens.server_address[1]}"):
            (certificates / domain).mkdir(parents=True)
            for file in (tokens.chain, registry.authority):
                assert file is not None
                shutil.copy(file, certificates / domain)
        name = f"{registry.domain}/some/one:1"
        library.tag("one:1", name)
        known = auth_file(tmp_path, registry.domain)
        wrong = auth_file(tmp_path / "server", registry.domain, "wrong")
        with pytest.raises(EngineError, match="does not accept these credentials"):
            library.push(name, [transport(certificates=str(certificates), auth_file=wrong, parallel="1")])
        with pytest.raises(EngineError, match="gives no access"):
            library.push(name, [transport(certificates=str(certificates), parallel="1")])
        tokens.asked.clear()
        library.push(name, [transport(certificates=str(certificates), auth_file=known)])
        assert tokens.asked == ["repository:some/one:pull,push"], "one token for all of it"
        tokens.asked.clear()
        library.pull(name, [transport(certificates=str(certificates))], platform=AMD64)
        assert tokens.asked == ["repository:some/one:pull"]


def test_a_password_goes_to_the_registry_alone(library: Library, registry: Registry, path: str, tmp_path: Path) -> None:
    with lying(registry.domain) as front, lying(registry.domain) as elsewhere:
        front.change = lambda asked, answer: (
            answer._replace(status=401, headers=[("WWW-Authenticate", 'Basic realm="x"')], body=b"")
            if not asked.authorization
            else answer._replace(status=307, headers=[("Location", f"http://{elsewhere.domain}{asked.path}")], body=b"")
            if "/blobs/" in asked.path
            else answer
        )
        known = transport(auth_file=auth_file(tmp_path, front.domain))
        library.pull(f"{front.domain}/{path}:1", [known], platform=AMD64)
        assert {bool(one.authorization) for one in front.blobs()} == {True}
        assert len(elsewhere.asked) == 4
        assert {one.authorization for one in elsewhere.asked} == {""}
