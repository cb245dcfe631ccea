"""Proves that the tests which documents name are there: promises are not guarded by what is gone.

usage: check_named_tests.py DOCUMENT ...

Looked at is every word in back quotes that names a file of a test: tests/unit/io/test_log.c, test_log.c (anywhere below
tests), test_spool*.c; and, behind the file, a function of it: test_log.c:test_values. The name of a file alone, or of a
directory of tests/, has to be there, too. In a table that says "Guarded by" each row has to name a test, or say
"not guarded yet" and why.
"""
import pathlib
import re
import sys

TESTS = pathlib.Path("tests")
FILE = re.compile(r"^(?:tests/)?(?:[\w-]+/)*(?:test|fuzz)_[\w*]+\.(?:c|py)$")
GUARDS = "| guarded by |"


def wrong_with(word):
    """What is wrong with a name in back quotes, or None; nothing is wrong with what names no test."""
    path, _, function = word.partition(":")
    if path.startswith("tests/") and not FILE.match(path):
        return None if list(pathlib.Path().glob(path)) else "is not there"
    if not FILE.match(path):
        return None
    found = list(pathlib.Path().glob(path)) if path.startswith("tests/") else list(TESTS.rglob(path))
    if not found:
        return "is not there"
    begins = rf"^(?:def|(?:static )?(?:void|int)) {re.escape(function)}\("
    if function and not any(re.search(begins, file.read_text(), re.M) for file in found):
        return f"has no function {function}"
    return None


def look_at(document):
    errors, names, in_table = [], 0, False
    for number, line in enumerate(pathlib.Path(document).read_text().splitlines(), 1):
        words = [word for word in re.findall(r"`([^`\s]+)`", line)
                 if FILE.match(word.partition(":")[0]) or word.startswith("tests/")]
        names += len(words)
        errors += [f"{document}:{number}: {word} {wrong}" for word in words if (wrong := wrong_with(word))]
        if not line.startswith("|"):
            in_table = False
        elif GUARDS in line.lower():
            in_table = True
        elif in_table and not line.startswith("|-") and not words and not re.search(r"not guarded yet: \w+", line):
            errors.append(f"{document}:{number}: neither a test nor \"not guarded yet: why\"")
    if names == 0:
        errors.append(f"{document}: names no test at all")
    return names, errors


total, wrong = 0, []
for argument in sys.argv[1:]:
    count, found = look_at(argument)
    total += count
    wrong += found
print("\n".join([*wrong, f"named tests: {total} names, {len(wrong)} wrong"]))
sys.exit(1 if wrong or not total else 0)
