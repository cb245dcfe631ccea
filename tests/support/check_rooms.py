"""Proves the arrows of the house: which room includes which, and the "only" rules.

usage: check_rooms.py ROOM=ROOM,ROOM ...   (the Makefile's table)
"""
import pathlib
import re
import sys

uses = {}
for argument in sys.argv[1:]:
    room, allowed = argument.split("=")
    uses[room] = set(allowed.split(","))

ONLY = [
    # pattern of an include or call, rooms it may stand in, what the rule is
    (r"#include <(event2/|event\.h|ares|sqlite3|openssl/ssl)", {"io"}, "only io includes it"),
    (r"#include <(spf2|opendkim)/", {"auth"}, "only auth includes it"),
    (r"\b(clock_gettime|gettimeofday|time)\s*\(\s*(NULL|CLOCK|&)", {"io"}, "only io/clock reads a clock"),
    (r"#include <(sys/(socket|epoll|eventfd|stat|wait|mman|file|un)|unistd|fcntl|poll|signal|pthread)",
     {"io"}, "only io makes system calls"),
    (r"#include <event2/(dns|rpc|tag)", set(), "the parts of libevent that strangers broke before"),
    (r"#include <event2/(http|bufferevent)", {"io/http_server.c"}, "only the server of the status page includes it: no client on port 25 reaches it"),
    (r"\b(getaddrinfo|getnameinfo|gethostbyname\w*|gethostbyaddr\w*|res_n?query|res_n?search)\s*\(", set(),
     "no synchronous DNS, ever"),
    (r"\bdkim_(ohdrs|diffheaders|sig_getreportinfo)\s*\(", set(), "it parses z= of strangers into a buffer that is too small"),
    (r"\b(system|popen|execlp|execvp|strcat|sprintf|gets)\(", set(), "no shell, no text without a limit"),
]

errors = 0
names = {}
for path in sorted(pathlib.Path("src").rglob("*.[ch]")) + sorted(pathlib.Path("include").rglob("*.h")):
    if path.parts[0] == "src" and len(path.parts) == 2:
        continue  # src/postilion.c joins daemon and ctl
    room = path.parts[1]
    if path.suffix == ".c" or path.parts[0] == "include":
        key = path.name
        if key in names:
            print(f"{path}: another file is named so: {names[key]}")
            errors += 1
        names[key] = path
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'#include "([a-z_]+)/', line)
        if match and match.group(1) in uses and match.group(1) not in uses[room]:
            print(f"{path}:{number}: room {room} may not use {match.group(1)}")
            errors += 1
        for pattern, rooms, why in ONLY:
            if room not in rooms and f"{room}/{path.name}" not in rooms and re.search(pattern, line):
                print(f"{path}:{number}: {why}: {line.strip()}")
                errors += 1
print(f"rooms: {len(names)} files, {errors} broken rules")
sys.exit(1 if errors else 0)
