"""postilion import and postilion srs secret: what other programs' files become, and that it works in a daemon."""
import json
import os
import re
import shutil
import stat
import subprocess

import pytest

import harness
from test_srs_interop import DOMAIN, SECRET, PostSrsd

USAGE, BAD_DATA, NO_INPUT, CANNOT_CREATE = 64, 65, 66, 73

VIRTUAL = """\
# our people
info@one.test       anna@dest.test, bob@dest.test
postmaster@one.test admin@dest.test
abuse@one.test      admin@dest.test
@other.test         @dest.test
postmaster@other.test admin@dest.test
\tanna@dest.test
other.test          anything
"""


@pytest.fixture
def run(tmp_path):
    def call(*arguments, status=0):
        done = subprocess.run([harness.program(), *map(str, arguments)], capture_output=True, text=True,
                              cwd=tmp_path, timeout=60)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done
    return call


def with_srs_block(daemon, block):
    daemon.config.write_text(re.sub(r"(?ms)^srs \{.*?^\}\n", lambda found: block, daemon.config.read_text()))
    return daemon


def write(path, text):
    path.write_text(text)
    return path


# ---- aliases ----

def test_virtual_aliases_work_in_a_daemon(run, world, tmp_path):
    table = write(tmp_path / "virtual", VIRTUAL)
    done = run("import", "postfix-virtual", table, "--output", f"{tmp_path}/imported/")
    assert done.stderr == "5 aliases in 2 domains, 0 left out\n"
    assert (tmp_path / "imported/one.test.aliases").read_text().startswith("# our people\ninfo: anna@dest.test, bob@dest.test\n")
    hop = world.hop()
    daemon = world.start(extra=done.stdout)
    assert "good" in daemon.command("check").stdout
    world.send(recipients=["info@one.test"])
    world.send(recipients=["anybody@other.test"])
    recipients = sorted(recipient for message in hop.wait(2) for recipient in message.recipients)
    assert recipients == ["anna@dest.test", "anybody@dest.test", "bob@dest.test"]


def test_a_path_with_blanks_is_one_word(run, postilion, tmp_path):
    table = write(tmp_path / "virtual", "postmaster@one.test a@dest.test\nabuse@one.test a@dest.test\n")
    done = run("import", "postfix-virtual", table, "--output", tmp_path / 'my "new" {aliases} #1')
    assert "good, 2 domains" in postilion(extra=done.stdout).command("check").stdout


def postmap_lookups(table, keys):
    """What Postfix itself finds under each name."""
    postmap = next((str(path) for path in (harness.PEERS / "usr/sbin/postmap",) if path.exists()), shutil.which("postmap"))
    if postmap is None:
        pytest.skip("postmap is not there")
    directory = table.parent / "postfix"
    directory.mkdir()
    (directory / "main.cf").write_text("compatibility_level = 3.6\nmail_owner = mail\nsetgid_group = games\n")
    environment = {**os.environ, "MAIL_CONFIG": str(directory), "LD_LIBRARY_PATH": str(harness.PEERS / "usr/lib/postfix")}
    found = {}
    for key in keys:
        done = subprocess.run([postmap, "-c", str(directory), "-q", key, f"texthash:{table}"], capture_output=True,
                              text=True, env=environment, timeout=60)
        assert done.returncode in (0, 1) and not done.stderr, done.stderr
        found[key] = done.stdout.strip()
    return found


def test_postfix_reads_the_same(run, tmp_path):
    """Every name and every target, as postmap has them."""
    table = write(tmp_path / "virtual", VIRTUAL + '\n  # not the end\nTwo@ONE.test a@dest.test,\n# within\n\n b@dest.test\n'
                  'twice@one.test first@dest.test\n')
    told = json.loads(run("import", "postfix-virtual", table, "--json").stdout)
    ours = {}
    for domain in told["domains"]:
        for alias in domain["aliases"]:
            name = "" if alias["name"] == "*" else alias["name"].lower()
            ours[f"{name}@{domain['domain']}"] = [target.replace("*@", "@") for target in alias["action"].split(", ")]
    theirs = {key: value.replace(",", " ").split() for key, value in postmap_lookups(table, ours).items()}
    assert ours == theirs and len(ours) == 7


def test_what_has_no_equal_is_listed_with_its_line(run, tmp_path):
    aliases = write(tmp_path / "aliases", 'root: admin@dest.test\nlist: "|/usr/bin/list post", root\nold: :include:/etc/old\n'
                                          "bob: bob\nvoid: /dev/null\n")
    done = run("import", "aliases", aliases, "--domain", "fwd.test", status=BAD_DATA)
    assert done.stderr.splitlines()[:3] == [
        f"{aliases}:2: left out: |/usr/bin/list post: a program: mail is only forwarded here",
        f"{aliases}:3: left out: :include:/etc/old: import that file, too: its addresses belong here",
        f"{aliases}:4: left out: bob: it leads to itself, which means a mailbox: say where that is now with --local DOMAIN"]
    assert "list: root@fwd.test\n" in done.stdout and "void: :discard:\n" in done.stdout
    assert "# left out: |/usr/bin/list post" in done.stdout
    told = json.loads(run("import", "aliases", aliases, "--domain", "fwd.test", "--json", status=BAD_DATA).stdout)
    assert [problem["line"] for problem in told["left_out"]] == [2, 3, 4]
    done = run("import", "aliases", aliases, "--domain=fwd.test", "--local=in.test", status=BAD_DATA)
    assert "bob: bob@in.test\n" in done.stdout


def test_a_domain_of_other_letters(run, tmp_path):
    table = write(tmp_path / "virtual", "i@bücher.test a@dest.test\n")
    run("import", "postfix-virtual", table, "--output", "new/")
    assert (tmp_path / "new/xn--bcher-kva.test.aliases").read_text() == "i: a@dest.test\n"
    aliases = write(tmp_path / "aliases", "i: a@dest.test\n")
    told = json.loads(run("import", "aliases", aliases, "--domain", "Bücher.test", "--json").stdout)
    assert told["domains"][0]["domain"] == "xn--bcher-kva.test"


@pytest.mark.parametrize("arguments, status, words", [
    ((), USAGE, "usage:"),
    (("sendmail", "virtual"), USAGE, "usage:"),
    (("postfix-virtual",), USAGE, "the file to import is missing"),
    (("postfix-virtual", "missing"), NO_INPUT, "missing: No such file or directory"),
    (("postfix-virtual", "."), NO_INPUT, "it is a directory"),
    (("postfix-virtual", "virtual", "missing"), NO_INPUT, "No such file or directory"),
    (("postfix-virtual", "virtual", "--nonsense", "x"), USAGE, "unknown option"),
    (("postfix-virtual", "virtual", "--domain"), USAGE, "the value is missing"),
    (("postfix-virtual", "virtual", "--domain", "a b"), USAGE, "this is no domain"),
    (("postfix-virtual", "virtual", "--local", "-.-"), USAGE, "this is no domain"),
    (("postfix-virtual", "virtual", "--output", ""), USAGE, "the value is missing"),
    (("postfix-virtual", "virtual", "--output", "one"), USAGE, "2 domains"),
    (("postfix-virtual", "one-domain", "--output", "virtual"), CANNOT_CREATE, "it is there already"),
    (("postfix-virtual", "one-domain", "--output", "missing/new"), CANNOT_CREATE, "No such file or directory"),
    (("postfix-virtual", "one-domain", "--output", "virtual/"), CANNOT_CREATE, "Not a directory"),
    (("aliases", "virtual"), USAGE, "--domain"),
    (("postsrsd", "secret", "--local", "x.test"), USAGE, "unknown option"),
    (("postsrsd", "names-missing"), NO_INPUT, "No such file or directory"),
    (("postsrsd", "secret", "--domain", "a.test", "--output", "virtual"), CANNOT_CREATE, "it is there already"),
])
def test_bad_calls_write_nothing(run, tmp_path, arguments, status, words):
    write(tmp_path / "virtual", VIRTUAL)
    write(tmp_path / "one-domain", "i@fwd.test a@dest.test\n")
    write(tmp_path / "secret", SECRET + "\n")
    write(tmp_path / "names-missing", "SRS_DOMAIN=a.test\nSRS_SECRET=/missing/secret\n")
    before = sorted(tmp_path.rglob("*"))
    done = run("import", *arguments, status=status)
    assert words in done.stderr and done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "virtual").read_text() == VIRTUAL


# ---- postsrsd ----

@pytest.mark.parametrize("separator", "=+-")
@pytest.mark.parametrize("settings", ["1.x", "2.x"])
def test_no_bounce_in_flight_is_lost(run, postilion, tmp_path, settings, separator):
    """An address that postsrsd made leads back when it is gone."""
    peer = PostSrsd(separator, tmp_path)
    made = [peer.forward(sender) for sender in ("alice@example.net", "Alice.B@Example.NET", "a+b-c=d@x.example")]
    peer.stop()
    secret = tmp_path / "postsrsd.secret"
    if settings == "1.x":
        text = f"SRS_DOMAIN={DOMAIN}\nSRS_SEPARATOR={separator}\nSRS_SECRET={secret}\nSRS_HASHLENGTH=4\n"
    else:
        text = f'srs-domain = "{DOMAIN}"\nseparator = "{separator}"\nsecrets-file = "{secret}"\n'
    new = tmp_path / "new.secret"
    done = run("import", "postsrsd", write(tmp_path / "settings", text), "--output", new)
    assert stat.S_IMODE(new.stat().st_mode) in (0o600, 0o640)
    secret.unlink()
    ours = tmp_path / "srs.secret"
    run("srs", "secret", "--add", ours)
    daemon = with_srs_block(postilion(), done.stdout.replace("/etc/postilion/srs.secret", str(ours)))
    for sender, address in zip(("alice@example.net", "alice.b@example.net", "a+b-c=d@x.example"), made):
        assert daemon.command("srs", "reverse", address).stdout.strip().lower() == sender
    assert daemon.command("srs", "forward", "alice@example.net").stdout.startswith(f"SRS0{separator}")


def test_settings_of_postsrsd_that_have_no_equal(run, tmp_path):
    secret = write(tmp_path / "secret", SECRET + "\nolder-secret-of-last-year\n")
    settings = write(tmp_path / "settings", f"SRS_DOMAIN=a.test\nSRS_EXCLUDE_DOMAINS=.b.test\nSRS_SECRET={secret}\n")
    done = run("import", "postsrsd", settings, status=BAD_DATA)
    assert f"{settings}:2: left out: SRS_EXCLUDE_DOMAINS=.b.test: " in done.stderr
    assert f"classic-secret-file {secret}\n" in done.stdout
    told = json.loads(run("import", "postsrsd", settings, "--json", status=BAD_DATA).stdout)
    assert (told["srs_domain"], told["secrets"], told["separator"]) == ("a.test", 2, "=")
    assert [problem["line"] for problem in told["left_out"]] == [2]
    assert SECRET not in done.stdout + done.stderr + json.dumps(told)


def test_a_file_of_secrets_alone(run, tmp_path):
    secret = write(tmp_path / "secret", SECRET + "\n")
    assert "the SRS domain" in run("import", "postsrsd", secret, status=BAD_DATA).stderr
    assert "domain              srs.fwd.test\n" in run("import", "postsrsd", secret, "--domain", "srs.fwd.test").stdout


# ---- srs secret ----

def test_a_secret_is_new_each_time(run):
    made = {run("srs", "secret").stdout for _ in range(3)}
    assert len(made) == 3 and all(len(secret) == 45 for secret in made)


def test_rotation_loses_no_bounce(run, postilion, tmp_path):
    secret = tmp_path / "srs.secret"
    run("srs", "secret", "--add", secret)
    assert stat.S_IMODE(secret.stat().st_mode) in (0o600, 0o640)
    daemon = with_srs_block(postilion(), f"srs {{\n    domain srs.fwd.test\n    secret-file {secret}\n}}\n")
    old = daemon.command("srs", "forward", "anna@sender.test").stdout.strip()
    first = secret.read_text()
    secret.chmod(0o640)
    if os.getuid() == 0:
        os.chown(secret, 65534, 65533)
    done = run("srs", "secret", "--add", secret)
    assert "postilion reload" in done.stdout and "1 older one is" in done.stdout
    status = secret.stat()
    assert secret.read_text().endswith(first) and len(secret.read_text().splitlines()) == 2
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert os.getuid() != 0 or (status.st_uid, status.st_gid) == (65534, 65533)
    new = daemon.command("srs", "forward", "anna@sender.test").stdout.strip()
    assert new != old
    for address in (old, new):
        assert daemon.command("srs", "reverse", address).stdout.strip() == "anna@sender.test"


def test_not_more_secrets_than_are_taken(run, tmp_path):
    secret = tmp_path / "srs.secret"
    for _ in range(16):
        run("srs", "secret", "--add", secret)
    before = secret.read_text()
    assert "remove the last lines" in run("srs", "secret", "--add", secret, status=BAD_DATA).stderr
    assert secret.read_text() == before


@pytest.mark.parametrize("arguments, status, words", [
    (("--add",), USAGE, "usage:"),
    (("--add", ""), USAGE, "usage:"),
    (("more",), USAGE, "usage:"),
    (("--add", "."), CANNOT_CREATE, "it is a directory"),
    (("--add", "missing/secret"), CANNOT_CREATE, "No such file or directory"),
])
def test_bad_calls_of_srs_secret(run, tmp_path, arguments, status, words):
    done = run("srs", "secret", *arguments, status=status)
    assert words in done.stderr and done.stdout == "" and list(tmp_path.iterdir()) == []
