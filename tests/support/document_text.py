"""What our documents tell a reader to type or to write into a configuration, as it is printed.

Fenced blocks are `sh` (run as they stand), `conf` (of postilion.conf), a file of another program, or `text` (none of them). In sentences and tables,
a code span is a command when its first word is a program of PROGRAMS, and a piece of configuration when it is a
block in braces. Synopses (`key make SELECTOR`, `queue hold\\|release ID`, `[--json]`) stand for several commands.
"""
import itertools
import pathlib
import re

LANGUAGES = ("sh", "conf", "text")
# Of other programs: what file it is, or goes into; tests/support/run_inner_servers.py loads them.
FILES = ("main.cf", "postilion.cidr", "policyd-spf.conf", "exim.main", "exim.acl", "dovecot.main.cf", "dovecot.conf", "postilion.sieve")
PROGRAMS = ("postilion", "make", "systemctl", "apt", "apt-get", "journalctl", "swaks", "runuser", "tar", "dig", "openssl", "sudo",
            "postmap", "postfix", "exim", "doveconf")
FENCE = re.compile(r"(?ms)^```([^\n]*)\n(.*?)^```$")


def read(document):
    return pathlib.Path(document).read_text()


def blocks_of(document, language):
    return [text for name, text in FENCE.findall(read(document)) if name == language]


def block_of(document, language):
    """The only one."""
    (text,) = blocks_of(document, language)
    return text


def unknown_blocks(document):
    """Those of which nobody says what they are, and those that hide commands."""
    wrong = []
    for name, text in FENCE.findall(read(document)):
        hidden = name != "sh" and any(line.split()[:1] and line.split()[0] in PROGRAMS for line in text.splitlines())
        if name not in LANGUAGES + FILES or hidden:
            wrong.append(text)
    return wrong


def spans_of(document):
    """The code spans outside of blocks, each once, in order."""
    prose = FENCE.sub("", read(document))
    return list(dict.fromkeys(" ".join(span.split()).replace("\\|", "|") if "\n" in span else span.replace("\\|", "|")
                              for span in re.findall(r"`([^`]+)`", prose)))


def transcript_commands(document):
    """What follows a prompt in a block of text."""
    lines = "\n".join(blocks_of(document, "text")).splitlines()
    return [line[2:] for line in lines if line.startswith(("# ", "$ ")) and line[2:].split()[:1] and line.split()[1] in PROGRAMS]


def command_spans(document):
    return [span for span in spans_of(document) if span.split() and span.split()[0] in PROGRAMS]


def config_spans(document):
    return [span for span in spans_of(document) if re.fullmatch(r"[a-z-]+ (?:[\w.-]+ )?\{.*\}", span)]


def _without_options(words):
    """Each optional part once without, then once with each of its alternatives."""
    begins = [i for i, word in enumerate(words) if word.startswith("[")]
    if not begins:
        return [words]
    begin = begins[0]
    end = next(i for i in range(begin, len(words)) if words[i].endswith("]"))
    inner = " ".join(words[begin:end + 1])[1:-1]
    before, after = words[:begin], words[end + 1:]
    found = [rest for rest in _without_options(after)]
    result = [before + rest for rest in found]
    for choice in inner.split("|"):
        result.append(before + choice.split() + found[0])
    return result


def commands_of(synopsis):
    """Every command that a synopsis stands for; its placeholders are still there."""
    result = []
    for words in _without_options(synopsis.split()):
        for chosen in itertools.product(*(word.split("|") for word in words)):
            result.append(" ".join(chosen))
    return list(dict.fromkeys(result))


def placeholders_of(command):
    return [word for word in command.split() if re.fullmatch(r"[A-Z][A-Z-]*", word)]
