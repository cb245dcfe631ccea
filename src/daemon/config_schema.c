#include "daemon/config_schema.h"

#include "daemon/config.h"

#include <stddef.h>

enum { WRAP_COLUMNS = 92, NAME_LIMIT = 40 };

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define AT(member) offsetof(struct config, member)
#define NO_VALUE 0
#define NO_RANGE 0, 0
#define ONCE false
#define REPEATS true
#define RELOAD true
#define RESTART false

/* clang-format off */
const struct config_option config_options[] = {
    /* context, name, type, value, arguments, choices, later, range, default, repeats, reload, sample, text */
    {"", "hostname", CONFIG_HOST, AT(hostname), "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "hostname mx.example.org",
     "The full name of this machine: in the banner, in EHLO, in Received fields. Its address records and "
     "the reverse name of its address should agree with it."},
    {"", "authserv-id", CONFIG_HOST, AT(authserv_id), "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#authserv-id example.org",
     "The name in front of our Authentication-Results fields (default: hostname). Fields that come in under this name are "
     "removed, so several servers that trust each other's results share one."},
    {"", "user", CONFIG_TEXT, AT(user), "NAME", NULL, NULL, NO_RANGE, "postilion", ONCE, RESTART, NULL,
     "The account the worker runs as once the ports are bound."},
    {"", "workers", CONFIG_NUMBER, AT(workers), "auto|N", "auto", NULL, 1, 64, "auto", ONCE, RESTART, NULL,
     "How many loop threads share the sessions. \"auto\" is one per processor."},
    {"", "listen", CONFIG_ENDPOINTS, AT(listen), "ADDR:PORT ... [{ ... }]", NULL, NULL, 1, CONFIG_LISTENERS, "0.0.0.0:25 [::]:25", REPEATS, RESTART,
     "listen 0.0.0.0:25 [::]:25\n"
     "#listen 10.0.0.1:2525 {\n"
     "#    proxy-protocol yes\n"
     "#    tls implicit\n"
     "#    banner-wait 3s\n"
     "#}",
     "Where SMTP clients connect to. Port 0 takes a free one. A block says what is different there."},
    {"listen", "proxy-protocol", CONFIG_CHOICE, AT(proxy_listeners), "no|yes", "no|yes", NULL, NO_RANGE, "no", ONCE, RESTART, NULL,
     "Whether connections begin with a PROXY header (version 1 or 2), which says who the client is. Only what \"trust\" names "
     "may connect then. The limits of clients hold for the client that is named."},
    {"listen", "tls", CONFIG_CHOICE, AT(listener_tls), "starttls|implicit|off", "starttls|implicit|off", NULL, NO_RANGE, "starttls", ONCE,
     RESTART, NULL,
     "\"starttls\" offers TLS when there is a tls block, \"implicit\" begins with it, before the banner, \"off\" does without."},
    {"listen", "banner-wait", CONFIG_DURATION, AT(doors[0].banner_wait_ms), "TIME", NULL, NULL, 0, MINUTE, "0s", ONCE, RESTART, NULL,
     "How long clients wait for our greeting; who speaks before it is no mail server (see client.early-talker). Over TLS from the start "
     "the time begins when that is there. Relays in \"trust\" and networks in \"allowlist\" do not wait. A few seconds are enough."},
    {"listen", "connections", CONFIG_NUMBER, AT(doors[0].connections), "N", NULL, NULL, 0, 1000000, "0", ONCE, RESTART, NULL,
     "Clients at a time that come by these addresses, by each of them. 0: limits.connections alone."},
    {"listen", "connection-rate", CONFIG_NUMBER, AT(doors[0].connection_rate), "N", NULL, NULL, 0, 1000000, "0", ONCE, RESTART, NULL,
     "New connections a minute by each of these addresses. 0: limits.connection-rate alone."},
    {"listen", "message-rate", CONFIG_NUMBER, AT(doors[0].message_rate), "N", NULL, NULL, 0, 100000000, "0", ONCE, RESTART, NULL,
     "Messages a minute that clients may begin by each of these addresses. 0: limits.message-rate alone."},
    {"listen", "recipient-rate", CONFIG_NUMBER, AT(doors[0].recipient_rate), "N", NULL, NULL, 0, 100000000, "0", ONCE, RESTART, NULL,
     "Recipients a minute that clients may name by each of these addresses. 0: limits.recipient-rate alone."},
    {"", "trust", CONFIG_NETWORKS, AT(trusted), "NETWORK ...", NULL, NULL, 1, 64, NULL, ONCE, RELOAD,
     "#trust 192.0.2.10 2001:db8:1::/64",
     "Relays of yours or of a partner that are believed about who their client is: by a PROXY header, by XCLIENT, or by the "
     "Received field they put on top. SPF and the reverse name are asked about that client, never about the relay; when it "
     "says nothing that can be read, they have no result."},
    {"", "resolver", CONFIG_ENDPOINTS, AT(resolvers), "ADDR[:PORT] ...", NULL, NULL, 1, 8, NULL, ONCE, RESTART,
     "#resolver 127.0.0.1:53",
     "DNS servers to ask. Without it those of /etc/resolv.conf. A validating resolver on this machine is best."},
    {"", "spool", CONFIG_PATH, AT(spool), "DIRECTORY", NULL, NULL, NO_RANGE, "/var/spool/postilion", ONCE, RESTART, NULL,
     "Where accepted messages are kept until they are delivered. Only one daemon can use it at a time."},
    {"", "state", CONFIG_PATH, AT(state), "DIRECTORY", NULL, NULL, NO_RANGE, "/var/lib/postilion", ONCE, RESTART, NULL,
     "Other things worth keeping, such as over-long senders behind their SRS tokens. It may be deleted without "
     "losing mail."},
    {"", "history", CONFIG_HISTORY, AT(history), "SPAN [SIZE]|off", "off", NULL, HOUR, 3650 * DAY, "14d 1G", ONCE, RELOAD, NULL,
     "How long what the log says about messages is kept for \"postilion trace\", in whole days, and how much of it at most, on disk, in "
     "\"history\" under the state directory: also the lines that log.level leaves out. It never holds up mail, stops where "
     "limits.free-space begins, and may be deleted at any time. \"off\" keeps nothing from then on; what was kept stays until it is deleted."},
    {"", "control", CONFIG_PATH, AT(control), "PATH", NULL, NULL, NO_RANGE, "/run/postilion/control.sock", ONCE, RESTART, NULL,
     "The socket the operator's commands talk to."},
    {"", "admin", CONFIG_ADMIN, AT(admin), "ADDR:PORT|unix:PATH|off", NULL, NULL, NO_RANGE, "off", ONCE, RESTART,
     "#admin 127.0.0.1:8025",
     "Where the status page is served over HTTP: what the daemon does, its queue and its history, to look at, not to change "
     "anything (/, /status.json, /metrics, /trace). There are no passwords and no TLS: whoever can connect can read it, so let it "
     "listen on loopback (\"ssh -L 8025:127.0.0.1:8025 HOST\" leads there) or on a Unix socket (mode 660). Over TCP it is served "
     "to who asks for an address, for localhost or for our hostname. Port 0 takes a free one."},
    {"", "core-dumps", CONFIG_CHOICE, AT(core_dumps), "no|yes", "no|yes", NULL, NO_RANGE, "no", ONCE, RESTART, NULL,
     "Whether a crash may leave a core file, and a debugger of the same account may look into the daemon. Both show keys and mail."},
    {"", "sandbox", CONFIG_CHOICE, AT(sandbox), "on|strict|off", "on|strict|off", NULL, NO_RANGE, "on", ONCE, RESTART, NULL,
     "Whether the worker can reach only what it needs of this machine: spool, state, the directories of the configuration and of "
     "the files named in it, and what libraries read (Landlock); and make only the system calls it needs (seccomp): others fail. A "
     "file in a new directory needs a restart then. \"strict\" ends the worker at the first other system call: for tests. What the "
     "kernel cannot do the log says."},
    {"", "tls", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "Our certificates: with one, clients can encrypt what they send (STARTTLS). TLS 1.2 and 1.3. What is in the files is read again "
     "on reload; sessions that are open go on as they are."},
    {"tls", "certificate", CONFIG_TLS_FILE, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#certificate /etc/postilion/tls/mx.example.org.pem",
     "PEM: the certificate, then those between it and the authority. Its key follows. Several pairs may follow each other: an "
     "ECDSA and an RSA certificate stand side by side; of more with one kind of key, the first one is for everybody, "
     "the others are for clients that ask for a name (SNI) they are good for."},
    {"tls", "key", CONFIG_TLS_FILE, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#key /etc/postilion/tls/mx.example.org.key",
     "The private key of the certificate before it, PEM without a pass phrase. The account of the worker must be able to read it, "
     "for reloads."},
    {"tls", "requiretls", CONFIG_CHOICE, AT(requiretls), "no|yes", "no|yes", NULL, NO_RANGE, "no", ONCE, RELOAD, NULL,
     "Whether senders whose session is encrypted may ask for encryption all the way (REQUIRETLS, RFC 8689). Such mail goes only to "
     "hosts that promise the same, with a certificate for their name, and whose names come from DNSSEC or a route; otherwise "
     "it goes back."},
    {"", "include", CONFIG_INCLUDE, NO_VALUE, "GLOB", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#include conf.d/*.conf",
     "Reads other files as if their text stood here, in the order of their names. A relative pattern starts from "
     "the directory of this file. A pattern that matches nothing is no error, a missing file is."},

    {"", "log", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "How outcomes are logged, one line each."},
    {"log", "format", CONFIG_CHOICE, AT(log.format), "logfmt|json", "logfmt|json", NULL, NO_RANGE, "logfmt", ONCE, RELOAD, NULL,
     "The form of a line."},
    {"log", "level", CONFIG_CHOICE, AT(log.level), "debug|info|warning|error", "debug|info|warning|error", NULL, NO_RANGE,
     "info", ONCE, RELOAD, NULL,
     "The least level that is written."},
    {"log", "to", CONFIG_CHOICE, AT(log.target), "stderr|syslog", "stderr|syslog", NULL, NO_RANGE, "stderr", ONCE, RELOAD, NULL,
     "Standard error (the journal, under systemd) or syslog's mail facility."},

    {"", "srs", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, "",
     "Sender rewriting: forwarded mail leaves with a sender of ours, so that SPF passes and bounces come back "
     "here, from where they go to the original sender."},
    {"srs", "domain", CONFIG_HOST, AT(srs_domain), "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#domain srs.example.org",
     "The domain of SRS addresses (default: hostname). Its MX must lead here, and its SPF record must allow this host."},
    {"srs", "secret-file", CONFIG_SECRETS, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "secret-file /etc/postilion/srs.secret",
     "Secrets, one a line, at least 16 octets each. The first one signs, all are accepted: to change it, put a new "
     "line on top and remove the old one after max-age."},
    {"srs", "classic-secret-file", CONFIG_SECRETS, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#classic-secret-file /etc/postsrsd.secret",
     "Secrets of an SRS program used before (postsrsd, libsrs2, Mail::SRS): bounces to its addresses still find their way."},
    {"srs", "format", CONFIG_CHOICE, AT(srs_format), "modern|classic", "modern|classic", NULL, NO_RANGE, "modern", ONCE, RELOAD, NULL,
     "How new addresses are signed. \"modern\": HMAC-SHA256, 8 characters; \"classic\": HMAC-SHA1, 4 characters, as other "
     "programs make and understand them."},
    {"srs", "separator", CONFIG_CHOICE, AT(srs_separator), "=|+|-", "=|+|-", NULL, NO_RANGE, "=", ONCE, RELOAD, NULL,
     "What stands behind SRS0 and SRS1. All three are accepted."},
    {"srs", "max-age", CONFIG_DURATION, AT(srs_max_age_ms), "TIME", NULL, NULL, DAY, 365 * DAY, "21d", ONCE, RELOAD, NULL,
     "How long a bounce may come back, in whole days."},
    {"srs", "accept", CONFIG_CHOICE, AT(srs_accept), "null|any", "null|any", NULL, NO_RANGE, "null", ONCE, RELOAD, NULL,
     "Who may write to SRS addresses: \"null\" takes bounces only (sender <>), \"any\" takes all mail."},
    {"srs", "return-rate", CONFIG_NUMBER, AT(srs_return_rate), "N", NULL, NULL, 0, 1000000, "50", ONCE, RELOAD, NULL,
     "Messages an hour to one SRS address, or to one reply address of a munged author; more are asked to come back later. "
     "0 is no limit."},
    {"srs", "return-uses", CONFIG_NUMBER, AT(srs_return_uses), "N", NULL, NULL, 0, 10000000, "500", ONCE, RELOAD, NULL,
     "Messages to one SRS address in all; then it is used up. 0 is no limit."},
    {"srs", "long", CONFIG_CHOICE, AT(srs_long), "store|refuse", "store|refuse", NULL, NO_RANGE, "store", ONCE, RELOAD, NULL,
     "Senders whose SRS address would be too long: \"store\" keeps them under a short token, \"refuse\" refuses the recipient."},

    {"", "domain", CONFIG_DOMAIN, NO_VALUE, "NAME { ... }", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD, "domain example.org",
     "A domain mail is taken for. Addresses that are not named in it are refused. postmaster must be there."},
    {"domain", "forward", CONFIG_ALIAS, NO_VALUE, "LOCAL to ADDRESS ... [fallback ADDRESS]", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "forward postmaster to admin@mail.example\n"
     "forward abuse      to admin@mail.example\n"
     "forward info       to anna@gmail.example bob@corp.example\n"
     "#forward /sales-.*/ to sales@corp.example\n"
     "#forward * to *@example.net\n"
     "#forward bob to bob@corp.example fallback bob@mail.example",
     "Where mail for LOCAL@domain goes. LOCAL is a name (also with +anything behind it), a /regular expression/ for whole "
     "names, or * for all others; * can go to *@other.example, which keeps the name. Upper and lower case are the same. "
     "What such an address refuses for good goes to the fallback instead of back to the sender: one address outside of our domains."},
    {"domain", "refuse", CONFIG_ALIAS, NO_VALUE, "LOCAL [\"550 5.1.1 text\"]", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#refuse old-list \"550 5.1.6 The list has moved to lists.example.org\"",
     "Refuses mail for this address, with a text of yours."},
    {"domain", "defer", CONFIG_ALIAS, NO_VALUE, "LOCAL [\"450 4.2.1 text\"]", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#defer anna",
     "Asks senders to try again later."},
    {"domain", "discard", CONFIG_ALIAS, NO_VALUE, "LOCAL", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#discard no-reply",
     "Accepts mail and throws it away, with a line in the log."},
    {"domain", "aliases", CONFIG_ALIASES, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#aliases /etc/postilion/example.org.aliases",
     "More aliases, \"name: target, target\" a line, also \"name: target :fallback: address\", \"name: :refuse: 550 5.1.1 text\", \"name: :defer:\" and "
     "\"name: :discard:\". The file is read again when it changes. Regular expressions of the block come before those of files."},
    {"domain", "srs-domain", CONFIG_HOST, NO_VALUE, "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#srs-domain bounce.example.org",
     "An SRS domain of its own for mail forwarded by this domain (default: the one of the srs block)."},

    {"domain", "policy", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "policy {\n"
     "    #spf-fail tag\n"
     "    #dmarc-quarantine refuse\n"
     "}",
     "What is different for mail to this domain; the rest is as in the policy block outside."},
    {"domain", "policy-for", CONFIG_POLICY_FOR, NO_VALUE, "LOCAL { ... }", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#policy-for abuse {\n"
     "#    spf-fail tag\n"
     "#}",
     "What is different for mail to one address, also with +anything behind LOCAL; the rest is as for the domain. "
     "Addresses with different policies do not share a message: the client sends them one after the other."},

    {"domain", "seal", CONFIG_SEAL, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#seal {\n"
     "#    selector s1\n"
     "#    key-file /etc/postilion/example.org.s1.pem\n"
     "#}",
     "Signatures of its own on mail forwarded by this domain, in the place of the seal block outside; an empty block: none."},

    {"", "route", CONFIG_ROUTE, NO_VALUE, "DOMAIN|* to HOST[:PORT]|[IP][:PORT]|IP[:PORT]|mx ...", NULL, NULL, NO_RANGE, NULL,
     REPEATS, RELOAD,
     "#route example.net to mail.internal.example:2525\n"
     "#route * to smarthost.example",
     "Static next hops for a domain, or with * for all, tried in this order instead of the MX; \"mx\" makes an exception "
     "from *. Addresses named here may be inside your own network."},
    {"", "delivery-tls", CONFIG_TLS_RULE, NO_VALUE, "DOMAIN off|opportunistic|required|verified", NULL, NULL, NO_RANGE, NULL,
     REPEATS, RELOAD,
     "#delivery-tls bank.example verified\n"
     "#delivery-tls old-server.example off",
     "What is different from delivery.tls for mail to one domain, or for the host of a route. Domains that take the same route "
     "share its connections: the strictest of their rules, and of those for its host, holds there."},
    {"", "allow-next-hop", CONFIG_NETWORKS, AT(allowed_next_hops), "NETWORK ...", NULL, NULL, 1, 64, NULL, ONCE, RELOAD,
     "#allow-next-hop 127.0.0.0/8",
     "Networks that MX records may lead to although they are loopback, link-local or our own."},

    {"", "delivery", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "How mail is sent on."},
    {"delivery", "mode", CONFIG_CHOICE, AT(delivery.mode), "handoff|store", "handoff|store", NULL, NO_RANGE, "handoff", ONCE, RELOAD,
     NULL,
     "\"handoff\" asks the next hops while the client waits: when all of them take a message its 250 means just that, and "
     "nothing was written; when they refuse it, the client is told, and no bounce is ever needed. What is not decided soon is "
     "stored first. \"store\": each message is on stable storage before the client gets its 250, and then sent on."},
    {"delivery", "handoff-wait", CONFIG_DURATION, AT(delivery.handoff_wait_ms), "TIME", NULL, NULL, SECOND, 5 * MINUTE, "15s", ONCE,
     RELOAD, NULL,
     "How long a client waits for the next hops before its message is stored instead (mode handoff)."},
    {"delivery", "port", CONFIG_NUMBER, AT(delivery.port), "N", NULL, NULL, 1, 65535, "25", ONCE, RELOAD, NULL,
     "The port of next hops, unless a route says otherwise."},
    {"delivery", "source", CONFIG_SOURCE, NO_VALUE, "ADDR ...", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#source 192.0.2.1 2001:db8::1",
     "The address connections come from, at most one IPv4 and one IPv6."},
    {"delivery", "helo", CONFIG_HOST, AT(delivery.helo), "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#helo mx.example.org",
     "The name given in EHLO (default: hostname)."},
    {"delivery", "concurrency", CONFIG_NUMBER, AT(delivery.concurrency), "N", NULL, NULL, 1, 10000, "50", ONCE, RELOAD, NULL,
     "Connections to one destination at a time, and to all destinations that have the same mail hosts. It begins with five and "
     "finds out how many go well."},
    {"delivery", "reuse", CONFIG_NUMBER, AT(delivery.reuse), "N", NULL, NULL, 1, 100000, "100", ONCE, RELOAD, NULL,
     "Messages over one connection."},
    {"delivery", "reuse-time", CONFIG_DURATION, AT(delivery.reuse_ms), "TIME", NULL, NULL, SECOND, DAY, "5m", ONCE, RELOAD, NULL,
     "How old a connection may be that is used for one more message."},
    {"delivery", "destination-rate", CONFIG_NUMBER, AT(delivery.destination_rate), "N", NULL, NULL, 0, 100000000, "0", ONCE, RELOAD, NULL,
     "Recipients an hour that are taken for one destination (a domain, or a route); then 452. It counts what is forwarded, in memory. "
     "0 is no limit."},
    {"delivery", "retry", CONFIG_RETRY, AT(delivery.retry), "TIME ...", NULL, NULL, SECOND, 7 * DAY, "1m 5m 15m 30m 1h 2h 4h", ONCE,
     RELOAD, NULL,
     "Pauses between attempts; the last one repeats. Each is spread by a fifth. After greylisting the first three are at most 1, 5 "
     "and 10 minutes; for a full mailbox they begin in the middle of the list."},
    {"delivery", "tls", CONFIG_CHOICE, AT(delivery.tls), "opportunistic|required|verified|off", "off|opportunistic|required|verified",
     NULL, NO_RANGE, "opportunistic", ONCE, RELOAD, NULL,
     "Whether mail goes out over TLS. \"opportunistic\": where the next hop offers it, and in clear text where that fails; "
     "\"required\": never in clear text, but whoever it is; \"verified\": only to hosts with a certificate for their name, from an "
     "authority that is trusted; \"off\": never. What cannot go out as wanted is tried again and comes back in the end."},
    {"delivery", "tls-ca", CONFIG_TLS_FILE, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#tls-ca /etc/postilion/authorities.pem",
     "The authorities that are trusted, PEM (default: those of the system)."},
    {"delivery", "tls-certificate", CONFIG_TLS_FILE, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#tls-certificate /etc/postilion/tls/client.pem",
     "A certificate to show to next hops that ask for one, PEM, with those that vouch for it behind it. Hardly any do."},
    {"delivery", "tls-key", CONFIG_TLS_FILE, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#tls-key /etc/postilion/tls/client.key",
     "Its private key, PEM without a pass phrase."},
    {"delivery", "expire", CONFIG_DURATION, AT(delivery.expire_ms), "TIME", NULL, NULL, SECOND, 30 * DAY, "2d", ONCE, RELOAD, NULL,
     "When to give up and tell the sender."},
    {"delivery", "warn", CONFIG_DURATION, AT(delivery.warn_ms), "TIME|never", "never", NULL, MINUTE, 30 * DAY, "never", ONCE, RELOAD,
     "#warn 4h",
     "When to tell the sender that a message is late and is still being tried: once, after the first attempt that fails behind "
     "that time. Senders who get no bounce get no warning, and programs that wrote by themselves get none, either."},
    {"delivery", "bounce", CONFIG_CHOICE, AT(delivery.bounce), "proven|own-domains|all|none", "proven|own-domains|all|none", NULL, NO_RANGE,
     "proven", ONCE, RELOAD, NULL,
     "Who is told by a bounce what could not be delivered. \"proven\": senders who proved to be that sender (SPF, or DKIM of the "
     "same domain) when the message came in; the others may be victims of a forger. \"own-domains\": those of them that are in a "
     "domain served here. With authenticate off nobody is proven, and only \"all\" bounces anything."},
    {"delivery", "bounce-limit", CONFIG_NUMBER, AT(delivery.bounce_limit), "N", NULL, NULL, 0, 1000000, "20", ONCE, RELOAD, NULL,
     "Bounces to one sender a day; 0 is no limit."},
    {"delivery", "hold-for", CONFIG_DURATION, AT(delivery.hold_ms), "TIME", NULL, NULL, 0, 365 * DAY, "7d", ONCE, RELOAD, NULL,
     "How long failed mail that is not bounced is kept for you to look at (\"queue list\"); then it is dropped, with a line in the "
     "log. 0 drops it at once."},

    {"", "policy", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "What is thought of mail before it is taken."},
    {"policy", "authenticate", CONFIG_CHOICE, AT(authenticate), "on|off", "off|on", NULL, NO_RANGE, "on", ONCE, RELOAD, NULL,
     "Whether to find out who sent a message: reverse name, SPF, DKIM and DMARC. With \"off\" nothing is looked up, no "
     "Authentication-Results field is written, and the options below up to munge-from have nothing to say."},
    {"policy", "received-spf", CONFIG_CHOICE, AT(received_spf), "yes|no", "no|yes", NULL, NO_RANGE, "no", ONCE, RELOAD, NULL,
     "Writes a Received-SPF field beside Authentication-Results, for old filters that read it."},
    {"policy", "spf-fail", CONFIG_CHOICE, AT(policy.spf_fail), "refuse-unless-dkim|refuse|tag", "refuse-unless-dkim|refuse|tag", NULL,
     NO_RANGE, "refuse-unless-dkim", ONCE, RELOAD, NULL,
     "Mail from where the sender's SPF record says it cannot come from. \"refuse-unless-dkim\" looks for a DKIM signature of "
     "the author first, since mail that was forwarded once fails SPF; \"refuse\" refuses before the content; \"tag\" takes it "
     "and says so in its Authentication-Results. This and the options below may also stand in a policy block of a domain."},
    {"policy", "dmarc-reject", CONFIG_CHOICE, AT(policy.dmarc_reject), "refuse|tag", "refuse|tag", NULL, NO_RANGE, "refuse", ONCE, RELOAD, NULL,
     "Mail that fails DMARC when the author's domain asks to reject it, and mail whose From cannot be read."},
    {"policy", "dmarc-quarantine", CONFIG_CHOICE, AT(policy.dmarc_quarantine), "tag|refuse|accept", "tag|refuse|accept", NULL, NO_RANGE,
     "tag", ONCE, RELOAD, NULL,
     "Mail that fails DMARC when the author's domain asks to treat it with suspicion."},
    {"policy", "auth-temperror", CONFIG_CHOICE, AT(policy.auth_temperror), "defer|accept", "defer|accept", NULL, NO_RANGE, "defer", ONCE,
     RELOAD, NULL,
     "When DNS does not answer a question that might have refused the message: ask the client to come again, or take it."},
    {"policy", "own-domain-spoof", CONFIG_CHOICE, AT(policy.own_domain_spoof), "refuse|tag|accept", "refuse|tag|accept", NULL, NO_RANGE,
     "refuse", ONCE, RELOAD, NULL,
     "Mail from outside that carries one of our domains as its author and cannot prove it by DKIM or SPF. Forwarded with our "
     "SRS it would pass for ours at the next server. A name above or below ours counts as ours where it could, too."},
    {"policy", "iprev", CONFIG_CHOICE, AT(policy.iprev), "off|tag|refuse", "off|tag|refuse", NULL, NO_RANGE, "tag", ONCE, RELOAD, NULL,
     "Clients whose address has no name that leads back to it."},
    {"policy", "arc-trust", CONFIG_NAMES, AT(arc_trust), "DOMAIN ...", NULL, NULL, 1, 1000, NULL, REPEATS, RELOAD,
     "#arc-trust lists.example.net",
     "Forwarders and mailing lists whose ARC seal is believed: what one of these saw pass DMARC, and sealed, counts as "
     "proven here although DMARC or SPF broke on the way. The domain is the d= of the seal, exactly. For all domains alike."},
    {"policy", "doomed", CONFIG_CHOICE, AT(policy.doomed), "refuse|forward|munge|hold", "refuse|forward|munge|hold", NULL, NO_RANGE,
     "refuse", ONCE, RELOAD, NULL,
     "Mail that is fine here but will fail DMARC at the next server, because SPF alone proves its author, whose domain asks to "
     "reject what fails. \"refuse\" tells the sender at once to sign with DKIM; \"forward\" sends it on all the same; "
     "\"munge\" needs munge-from; \"hold\" keeps it in the queue for you to look at."},
    {"policy", "doomed-quarantine", CONFIG_CHOICE, AT(policy.doomed_quarantine), "forward|refuse|munge|hold", "forward|refuse|munge|hold",
     NULL, NO_RANGE, "forward", ONCE, RELOAD, NULL,
     "The same when the author's domain asks for quarantine: the next server will put it into the spam folder."},
    {"policy", "munge-from", CONFIG_CHOICE, AT(policy.munge_from), "never|when-needed", "never|when-needed", NULL, NO_RANGE, "never", ONCE,
     RELOAD, NULL,
     "Whether doomed mail may leave with a From of ours: \"Name via example.org\" and an address that leads back to the author. "
     "It needs a seal whose domain is the one mail was sent to, or above or below it. Mail that can arrive as it is never "
     "is munged."},
    {"policy", "greylist", CONFIG_CHOICE, AT(policy.greylist), "off|suspicious|all", "off|suspicious|all", NULL, NO_RANGE, "off", ONCE,
     RELOAD, NULL,
     "Asks who was never here before to come again: programs that send and forget do not. \"suspicious\" leaves alone whom both "
     "SPF and a reverse name that leads back speak for; \"all\" asks everybody once. Legitimate first mail is late by as long "
     "as the other side waits, often 15 minutes."},
    {"policy", "blocked-content", CONFIG_CHOICE, AT(policy.blocked_content), "refuse|tag|hold|accept", "refuse|tag|hold|accept", NULL,
     NO_RANGE, "refuse", ONCE, RELOAD, NULL,
     "Mail that carries what the content block lists, or whose MIME structure can be read in more than one way, so that nobody "
     "knows. \"tag\" says so in an Authentication-Results field (x-content), \"hold\" keeps it in the queue for you to look "
     "at. Bounces on their way back are only tagged. This and the two options below hold with \"authenticate off\", too."},
    {"policy", "header-sanity", CONFIG_CHOICE, AT(policy.header_sanity), "tag|refuse|off", "tag|refuse|off", NULL, NO_RANGE, "tag", ONCE,
     RELOAD, NULL,
     "Mail whose header no mail program writes: a NUL in it, no From, two Date, Message-ID, Subject, To, Cc or other fields of "
     "which RFC 5322 allows one. Big receivers refuse it. \"tag\" says so in an Authentication-Results field (x-header). Several "
     "From fields are a case of dmarc-reject."},
    {"policy", "header-8bit", CONFIG_CHOICE, AT(policy.header_8bit), "accept|tag|refuse", "accept|tag|refuse", NULL, NO_RANGE, "accept", ONCE,
     RELOAD, NULL,
     "Mail with octets beyond ASCII in its header that came without SMTPUTF8: wrong, but there is still a lot of it."},

    {"", "content", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "What no message may carry; policy.blocked-content says what becomes of one that does."},
    {"content", "block-extension", CONFIG_PATTERNS, AT(content.extensions), "ENDING ...", NULL, NULL, 1, 1000, NULL, REPEATS, RELOAD,
     "#block-extension exe com scr pif bat cmd cpl msi vbs vbe js jse wsf wsh hta lnk jar ps1",
     "Names of attachments, of files in ZIP archives and in gzip that end so; \"*\" and \"?\" stand for any. All ways to write a "
     "name that some mail program reads are looked at. Nothing is unpacked: see application/x-zip-nested below."},
    {"content", "block-type", CONFIG_PATTERNS, AT(content.types), "TYPE ...", NULL, NULL, 1, 1000, NULL, REPEATS, RELOAD,
     "#block-type application/x-msdownload message/partial application/x-zip-encrypted",
     "Media types, as declared; \"*\" and \"?\" stand for any. Known by their octets, too: application/x-msdownload, "
     "application/x-7z-compressed, application/vnd.rar, application/gzip, application/vnd.ms-cab-compressed, and "
     "application/x-zip-encrypted and application/x-zip-nested (an archive in a ZIP that cannot be looked into)."},
    {"content", "fields", CONFIG_NUMBER, AT(content.fields), "N", NULL, NULL, 100, 1000000, "2000", ONCE, RELOAD, NULL,
     "How many fields a header may have; more are refused."},
    {"content", "field-size", CONFIG_SIZE, AT(content.field_size), "SIZE", NULL, NULL, 2 * KIB, 16 * MIB, "100K", ONCE, RELOAD, NULL,
     "How large one field may be; a larger one is refused."},

    {"policy", "forwards-per-hour", CONFIG_COUNT, AT(policy.forwards_hourly), "N", NULL, NULL, 0, 100000000, "3600", ONCE, RELOAD, NULL,
     "Messages an hour that mail to our addresses may bring to one mailbox behind them, however the address is written; then 452, so "
     "that one alias cannot spoil what others think of this server. As much may come at once. Kept in memory. 0 is no limit."},
    {"policy", "forwards-per-day", CONFIG_COUNT, AT(policy.forwards_daily), "N", NULL, NULL, 0, 100000000, "0", ONCE, RELOAD, NULL,
     "The same for a day."},

    {"", "scan", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "Programs that look at each message before it is answered: clamd for viruses, rspamd for spam. They are asked at the same time, "
     "and while DNS answers about the sender are still to come. What they want changed in a message is not done: nothing of it ever is."},
    {"scan", "clamd", CONFIG_SCANNER, AT(scan.clamd), "PATH|ADDR:PORT|off", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#clamd /run/clamav/clamd.ctl",
     "Where clamd listens: its LocalSocket, which the account of the worker must be allowed to write to, or TCPAddr and TCPSocket. "
     "Its StreamMaxLength is to be max-size or more."},
    {"scan", "rspamd", CONFIG_SCANNER, AT(scan.rspamd), "ADDR:PORT|PATH|off", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD,
     "#rspamd 127.0.0.1:11333",
     "Where a normal worker of rspamd listens. It is told who the client is, what it said in HELO, sender and recipients."},
    {"scan", "timeout", CONFIG_DURATION, AT(scan.timeout_ms), "TIME", NULL, NULL, 100, 5 * MINUTE, "20s", ONCE, RELOAD, NULL,
     "How long both have together, from the end of a message; who has not answered then has failed. Clients wait ten minutes."},
    {"scan", "on-failure", CONFIG_CHOICE, AT(scan.rules.on_failure), "defer|accept", "defer|accept", NULL, NO_RANGE, "defer", ONCE, RELOAD,
     NULL,
     "Mail about which a scanner gave no answer that can be read: \"defer\" asks the client to come again, \"accept\" does without."},
    {"scan", "virus", CONFIG_CHOICE, AT(scan.rules.virus), "refuse|hold|tag", "refuse|hold|tag", NULL, NO_RANGE, "refuse", ONCE, RELOAD, NULL,
     "Mail in which clamd finds something. \"hold\" keeps it in the queue for you to look at, \"tag\" says so in an "
     "Authentication-Results field (x-virus)."},
    {"scan", "spam", CONFIG_CHOICE, AT(scan.rules.spam), "refuse|hold|tag", "refuse|hold|tag", NULL, NO_RANGE, "refuse", ONCE, RELOAD, NULL,
     "Mail that rspamd wants rejected. What it only wants marked (\"add header\", \"rewrite subject\") is marked in an "
     "Authentication-Results field (x-spam); its \"soft reject\" asks the client to come again. With \"tag\" all of that is only "
     "marked, and so are bounces on their way back."},
    {"scan", "max-size", CONFIG_SIZE, AT(scan.max_size), "SIZE", NULL, NULL, KIB, 2 * GIB, "25M", ONCE, RELOAD, NULL,
     "Larger messages are not shown to the scanners."},
    {"scan", "too-large", CONFIG_CHOICE, AT(scan.rules.too_large), "accept|refuse", "accept|refuse", NULL, NO_RANGE, "accept", ONCE, RELOAD,
     NULL,
     "What becomes of those, and of what is more than clamd takes."},
    {"scan", "concurrency", CONFIG_NUMBER, AT(scan.concurrency), "N", NULL, NULL, 1, 1000, "10", ONCE, RELOAD, NULL,
     "How many messages of one loop (see workers) are shown at the same time. Others wait for a place, and their time runs."},

    {"", "greylist", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "How long \"policy greylist\" makes wait, and remembers. A client counts with its neighbours: /24 of IPv4, /64 of IPv6."},
    {"greylist", "delay", CONFIG_DURATION, AT(grey.delay_ms), "TIME", NULL, NULL, SECOND, HOUR, "5m", ONCE, RELOAD, NULL,
     "Who comes again sooner is asked to wait on."},
    {"greylist", "window", CONFIG_DURATION, AT(grey.window_ms), "TIME", NULL, NULL, MINUTE, 7 * DAY, "1d", ONCE, RELOAD, NULL,
     "Who comes again later is new again."},
    {"greylist", "memory", CONFIG_DURATION, AT(grey.memory_ms), "TIME", NULL, NULL, HOUR, 365 * DAY, "36d", ONCE, RELOAD, NULL,
     "How long a sender that came again is known after its last message."},
    {"greylist", "client-passes", CONFIG_NUMBER, AT(grey.client_passes), "N", NULL, NULL, 0, 1000, "5", ONCE, RELOAD, NULL,
     "A client of which so many senders have come again is asked no more. 0: it always is."},

    {"", "verify-recipients", CONFIG_VERIFY, NO_VALUE, "DOMAIN ... [defer|accept]", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#verify-recipients internal.example.org",
     "Domains that aliases lead to whose servers are asked, before a recipient is taken, whether they take it: by MAIL FROM:<> and RCPT, "
     "where mail for the domain goes (its route, or its MX). When they refuse it for good their answer is ours, without the address behind the "
     "alias. An alias with other targets, or with a fallback, is not asked about: somebody takes its mail. Only for servers that are yours. "
     "The last word says what happens when there is no answer (default: verify.on-failure)."},
    {"", "verify", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "How recipients are verified (verify-recipients)."},
    {"verify", "timeout", CONFIG_DURATION, AT(verify.timeout_ms), "TIME", NULL, NULL, 100, 2 * MINUTE, "10s", ONCE, RELOAD, NULL,
     "How long a recipient waits for the answer. A server that does not answer in time is left alone for some seconds."},
    {"verify", "positive", CONFIG_DURATION, AT(verify.positive_ms), "TIME", NULL, NULL, 0, 7 * DAY, "1h", ONCE, RELOAD, NULL,
     "How long it is remembered that a recipient was accepted; a reload forgets it. 0s: not at all."},
    {"verify", "negative", CONFIG_DURATION, AT(verify.negative_ms), "TIME", NULL, NULL, 0, 7 * DAY, "10m", ONCE, RELOAD, NULL,
     "How long it is remembered that a recipient was refused for good."},
    {"verify", "on-failure", CONFIG_CHOICE, AT(verify_on_failure), "defer|accept", "defer|accept", NULL, NO_RANGE, "defer", ONCE, RELOAD, NULL,
     "What becomes of a recipient nobody can say anything about now: the client comes again (451), or it is taken."},

    {"", "client", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "What is thought of a client before its mail is taken. Each control says off, tag, defer, refuse, or a number of points; points "
     "of all controls and block lists add up. What is tagged is taken and says so in an Authentication-Results field (x-client). "
     "Not for relays in \"trust\", bounces to our SRS addresses, what an allowlist names, and mail to postmaster, which is taken from everybody "
     "(RFC 5321 4.5.1)."},
    {"client", "helo", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_HELO]), "off|tag|defer|refuse|POINTS", NULL, NULL, NO_RANGE, "off",
     ONCE, RELOAD, NULL,
     "A name in HELO that cannot be true: no name at all, an address without brackets, or our own name or address."},
    {"client", "helo-local", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_HELO_LOCAL]), "off|tag|defer|refuse|POINTS", NULL, NULL, NO_RANGE,
     "off", ONCE, RELOAD, NULL,
     "A name in HELO that means something where the client is, at most: a single word, a name below .local, another address in brackets. Real "
     "servers behind NAT do so, too: better give points than refuse."},
    {"client", "reverse-name", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_REVERSE_NAME]), "off|tag|defer|refuse|POINTS", NULL, NULL,
     NO_RANGE, "off", ONCE, RELOAD, NULL,
     "An address without a name that leads back to it. As policy.iprev, but also with \"authenticate off\", and with points."},
    {"client", "sender-domain", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_SENDER_DOMAIN]), "off|tag|defer|refuse|POINTS", NULL, NULL,
     NO_RANGE, "off", ONCE, RELOAD, NULL,
     "A sender whose domain does not exist, has neither MX nor address, or says by a null MX that it has no mail (RFC 7505). While DNS does "
     "not answer, refuse and defer ask the client to come again."},
    {"client", "early-talker", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_EARLY_TALKER]), "off|tag|defer|refuse|POINTS", NULL, NULL, NO_RANGE,
     "refuse", ONCE, RELOAD, NULL,
     "A client that speaks before our greeting, where a listener has a banner-wait. With refuse and defer the session ends at once."},
    {"client", "pipelining", CONFIG_CLIENT_RULE, AT(client_rules.of[CLIENT_PIPELINING]), "off|tag|defer|refuse|POINTS", NULL, NULL, NO_RANGE,
     "off", ONCE, RELOAD, NULL,
     "A client that sends commands behind HELO or EHLO without waiting for the answer, which RFC 2920 does not allow."},
    {"client", "lists-timeout", CONFIG_DURATION, AT(lists_timeout_ms), "TIME", NULL, NULL, 100, MINUTE, "5s", ONCE, RELOAD, NULL,
     "How long a recipient waits for lists; one that has not answered by then names nobody."},
    {"client", "tag-at", CONFIG_NUMBER, AT(client_tag_at), "never|N", "never", NULL, 1, 100000, "5", ONCE, RELOAD, NULL,
     "With so many points mail is tagged."},
    {"client", "defer-at", CONFIG_NUMBER, AT(client_defer_at), "never|N", "never", NULL, 1, 100000, "never", ONCE, RELOAD, NULL,
     "With so many points the client is asked to come again."},
    {"client", "refuse-at", CONFIG_NUMBER, AT(client_refuse_at), "never|N", "never", NULL, 1, 100000, "10", ONCE, RELOAD, NULL,
     "With so many points mail is refused."},
    {"", "blocklist", CONFIG_BLOCKLIST, NO_VALUE, "ZONE [tag|defer|refuse|weight N] [match 127.0.0.2-127.0.0.9 ...] [for client|sender|helo]", NULL,
     NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#blocklist bl.example.net\n"
     "#blocklist other.example.org weight 6 match 127.0.0.2-127.0.0.9 &0.0.0.64\n"
     "#blocklist names.example.org weight 4 for sender",
     "A list in DNS (RFC 5782) of clients, of the domains of senders, or of names in HELO that nothing good comes from. What it names is refused "
     "unless a word says otherwise; \"weight\" gives points (see client). Only answers that match count, by default all in 127.0.0.0/8. "
     "A list that names everybody, or not even its own test entry, is not believed; one that refuses our questions is left out, and the log says so. "
     "Ask its keepers whether you may use it."},
    {"", "allowlist", CONFIG_ALLOWLIST, NO_VALUE, "ZONE [match ...]|NETWORK ...", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#allowlist 192.0.2.0/24 2001:db8::/32\n"
     "#allowlist wl.example.net match 127.0.0.2-127.0.0.255",
     "Clients that are known to be good, by network or by a list in DNS: the client block, block lists and greylisting have nothing to say about them. "
     "Everything else still holds."},

    {"", "seal", CONFIG_SEAL, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "Signatures of our own on what is forwarded: an ARC set, which tells the next server what was found out here, DKIM, or "
     "both. Bounces and munged mail are always signed when there is a key. Without a key nothing is."},
    {"seal", "domain", CONFIG_HOST, NO_VALUE, "NAME", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, "#domain example.org",
     "The d= of the signatures, where DNS has the public keys (default: the SRS domain; in the block of a domain, that domain)."},
    {"seal", "selector", CONFIG_TEXT, NO_VALUE, "NAME", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD, "#selector s1",
     "The name of a key: DNS has it under NAME._domainkey.DOMAIN. Its key-file follows. Several pairs may follow each other, "
     "such as an RSA key and an Ed25519 key: each makes a DKIM signature, the first RSA key makes ARC sets."},
    {"seal", "key-file", CONFIG_PATH, NO_VALUE, "FILE", NULL, NULL, NO_RANGE, NULL, REPEATS, RELOAD,
     "#key-file /etc/postilion/s1.pem",
     "The private key of the selector before it, PEM without a pass phrase: RSA of 2048 to 4096 bits, or Ed25519. "
     "\"postilion key make\" makes one."},
    {"seal", "arc", CONFIG_CHOICE, NO_VALUE, "yes|no", "no|yes", NULL, NO_RANGE, "yes", ONCE, RELOAD, NULL,
     "Whether forwarded mail gets an ARC set. It says what was found out here, so there is none with \"authenticate off\". It "
     "needs an RSA key: hardly anybody can check others."},
    {"seal", "dkim", CONFIG_CHOICE, NO_VALUE, "yes|no", "no|yes", NULL, NO_RANGE, "no", ONCE, RELOAD, NULL,
     "Whether forwarded mail gets a DKIM signature of ours: with it this domain answers for all that is sent through it."},

    {"", "doctor", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "The daemon looks after itself: what postilion doctor says, without being asked (docs/OPERATING.md)."},
    {"doctor", "run", CONFIG_CHOICE, AT(doctor.run), "daily|off", "daily|off", NULL, NO_RANGE, "daily", ONCE, RELOAD, NULL,
     "\"daily\": some time after the start, and once a day; status shows what was found, the log what is new."},
    {"doctor", "delay", CONFIG_DURATION, AT(doctor.delay_ms), "TIME", NULL, NULL, 0, DAY, "1m", ONCE, RELOAD, NULL,
     "How long after the start it looks for the first time; up to half of that more, by chance."},
    {"doctor", "address", CONFIG_NETWORKS, AT(doctor.addresses), "ADDR ...", NULL, NULL, 1, 16, NULL, ONCE, RELOAD,
     "#address 203.0.113.7",
     "The addresses under which the world sees this host, where it has none of them itself (behind NAT)."},
    {"doctor", "lists", CONFIG_CHOICE, AT(doctor.lists), "public|configured", "public|configured", NULL, NO_RANGE, "public", ONCE, RELOAD, NULL,
     "Which block lists are asked about our own addresses: those of blocklist alone, or a few public ones, too."},
    {"doctor", "port-25", CONFIG_HOST, AT(doctor.port_25), "HOST", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, "#port-25 mx.example.net",
     "A host whose port 25 is connected to, up to its greeting (default: next hops of postmaster's mail)."},

    {"", "limits", CONFIG_BLOCK, NO_VALUE, "{ ... }", NULL, NULL, NO_RANGE, NULL, ONCE, RELOAD, NULL,
     "Nothing a client sends grows without bound."},
    {"limits", "message-size", CONFIG_SIZE, AT(limits.message_size), "SIZE", NULL, NULL, 64 * KIB, 2 * GIB, "50M", ONCE, RELOAD, NULL,
     "Octets a message, announced by SIZE."},
    {"limits", "header-size", CONFIG_SIZE, AT(limits.header_size), "SIZE", NULL, NULL, 4 * KIB, 16 * MIB, "256K", ONCE, RELOAD, NULL,
     "Octets of its header."},
    {"limits", "recipients", CONFIG_NUMBER, AT(limits.recipients), "N", NULL, NULL, 1, 10000, "100", ONCE, RELOAD, NULL,
     "Recipients a message; the client sends the others in a next one (RFC 5321 4.5.3.1.8 asks for 100)."},
    {"limits", "connections", CONFIG_NUMBER, AT(limits.connections), "N", NULL, NULL, 1, 1000000, "10000", ONCE, RELOAD, NULL,
     "Clients at a time."},
    {"limits", "per-client", CONFIG_NUMBER, AT(limits.per_client), "N", NULL, NULL, 1, 1000000, "50", ONCE, RELOAD, NULL,
     "Connections of one client at a time: an IPv4 address, or an IPv6 network of 64 bits. An IPv6 network of 48 bits may have "
     "16 clients' worth of this and of the rates below."},
    {"limits", "connection-rate", CONFIG_NUMBER, AT(limits.connection_rate), "N", NULL, NULL, 0, 1000000, "0", ONCE, RELOAD, NULL,
     "New connections a minute, of all clients together. Of this and all rates below as much may come at once; 0 is no limit."},
    {"limits", "message-rate", CONFIG_NUMBER, AT(limits.message_rate), "N", NULL, NULL, 0, 100000000, "0", ONCE, RELOAD, NULL,
     "Messages a minute that all clients together may begin (MAIL); then 451."},
    {"limits", "recipient-rate", CONFIG_NUMBER, AT(limits.recipient_rate), "N", NULL, NULL, 0, 100000000, "0", ONCE, RELOAD, NULL,
     "Recipients a minute that all clients together may name (RCPT); then 451."},
    {"limits", "client-connection-rate", CONFIG_NUMBER, AT(limits.client_connection_rate), "N", NULL, NULL, 0, 1000000, "1200", ONCE,
     RELOAD, NULL,
     "New connections a minute of one client; then 421. This machine itself (127.0.0.1, ::1) and \"trust\" are free of this and of "
     "what follows."},
    {"limits", "client-message-rate", CONFIG_NUMBER, AT(limits.client_message_rate), "N", NULL, NULL, 0, 1000000, "6000", ONCE, RELOAD,
     NULL,
     "Messages a minute one client may begin (MAIL), over all its connections; then 451."},
    {"limits", "client-recipient-rate", CONFIG_NUMBER, AT(limits.client_recipient_rate), "N", NULL, NULL, 0, 1000000, "30000", ONCE,
     RELOAD, NULL,
     "Recipients a minute one client may name (RCPT), over all its connections; then 451."},
    {"limits", "unknown-recipients", CONFIG_NUMBER, AT(limits.unknown_recipients), "N", NULL, NULL, 0, 1000000, "20", ONCE, RELOAD, NULL,
     "Recipients nobody has that a session may name, besides one for each recipient whose mail was accepted; then 421. A client that "
     "names five times as many within some hours gets a penalty. 0: each counts as one of \"errors\", and no more."},
    {"limits", "bad-signatures", CONFIG_NUMBER, AT(limits.bad_signatures), "N", NULL, NULL, 0, 1000000, "5", ONCE, RELOAD, NULL,
     "Forged SRS and reply addresses a session may name; then 421, and a penalty for the IPv4 network of 24 bits, or the IPv6 "
     "network of 48, unless much mail was accepted from that client. 0 is no limit."},
    {"limits", "tarpit", CONFIG_DURATION, AT(limits.tarpit_ms), "TIME", NULL, NULL, 0, MINUTE, "10s", ONCE, RELOAD, NULL,
     "How long the answer to an unknown or forged recipient waits at most. From a quarter of the two limits above on it waits half a "
     "second, then twice as long each time. 0: it never waits."},
    {"limits", "penalty", CONFIG_DURATION, AT(limits.penalty_ms), "TIME", NULL, NULL, 0, DAY, "1h", ONCE, RELOAD, NULL,
     "How long who guessed at too many addresses gets 421 at once. 0: no penalty."},
    {"limits", "errors", CONFIG_NUMBER, AT(limits.errors), "N", NULL, NULL, 1, 10000, "20", ONCE, RELOAD, NULL,
     "Refused commands until a session is closed."},
    {"limits", "hops", CONFIG_NUMBER, AT(limits.hops), "N", NULL, NULL, 10, 1000, "100", ONCE, RELOAD, NULL,
     "Received fields until a message is taken for a loop (RFC 5321 6.3)."},
    {"limits", "command-timeout", CONFIG_DURATION, AT(limits.command_timeout_ms), "TIME", NULL, NULL, SECOND, HOUR, "5m", ONCE, RELOAD, NULL,
     "How long a client may be silent between commands."},
    {"limits", "data-timeout", CONFIG_DURATION, AT(limits.data_timeout_ms), "TIME", NULL, NULL, SECOND, HOUR, "10m", ONCE, RELOAD, NULL,
     "How long a client may be silent inside a message."},
    {"limits", "min-rate", CONFIG_SIZE, AT(limits.min_rate), "SIZE", NULL, NULL, 0, MIB, "1K", ONCE, RELOAD, NULL,
     "Octets a second a message must come in with."},
    {"limits", "free-space", CONFIG_SIZE, AT(limits.free_space), "SIZE", NULL, NULL, 0, 1024 * GIB, "100M", ONCE, RESTART, NULL,
     "With less free space than this in the spool no new mail is taken."},
    {"limits", "memory", CONFIG_SIZE, AT(limits.memory), "SIZE", NULL, NULL, 16 * MIB, 1024 * GIB, "512M", ONCE, RELOAD, NULL,
     "What clients may make the daemon hold in memory, all sessions and messages together. Above it MAIL, RCPT and DATA are "
     "answered 452, and what is coming in goes to files."},
};
/* clang-format on */

const size_t config_option_count = sizeof config_options / sizeof config_options[0];

const struct config_option *config_schema_find(const char *context, struct bytes name)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (strcmp(config_options[i].context, context) == 0 &&
            bytes_equal(bytes_from_text(config_options[i].name), name)) {
            return &config_options[i];
        }
    }
    return NULL;
}

const struct config_option *config_schema_find_any(struct bytes name, size_t from)
{
    for (size_t i = from; i < config_option_count; i++) {
        if (bytes_equal(bytes_from_text(config_options[i].name), name)) {
            return &config_options[i];
        }
    }
    return NULL;
}

bool config_schema_has_block(const struct config_option *option)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (option->context[0] == '\0' &&
            strcmp(config_options[i].context, option->name) == 0) {
            return true;
        }
    }
    return false;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t config_schema_distance(struct bytes a, struct bytes b, size_t limit)
{
    size_t rows[3][NAME_LIMIT + 1] = {{0}};

    if (a.len > NAME_LIMIT || b.len > NAME_LIMIT) {
        return limit + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *over = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool is_same = ascii_lower((unsigned char)a.data[i - 1]) ==
                           ascii_lower((unsigned char)b.data[j - 1]);
            row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + !is_same);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                a.data[i - 2] == b.data[j - 1]) {
                row[j] = least(row[j], over[j - 2] + 1);
            }
        }
    }
    return least(rows[a.len % 3][b.len], limit + 1);
}

/* `context` NULL: in any block. */
static const char *suggest(const char *context, struct bytes name)
{
    size_t best = name.len < 4 ? 1 : name.len < 8 ? 2 : 3;
    const char *found = NULL;

    for (size_t i = 0; i < config_option_count; i++) {
        size_t distance;
        if (context != NULL && strcmp(config_options[i].context, context) != 0) {
            continue;
        }
        distance = config_schema_distance(name, bytes_from_text(config_options[i].name), best);
        if (distance <= best && (found == NULL || distance < best)) {
            best = distance;
            found = config_options[i].name;
        }
    }
    return found;
}

const char *config_schema_suggest(const char *context, struct bytes name)
{
    return suggest(context, name);
}

const char *config_schema_suggest_any(struct bytes name)
{
    return suggest(NULL, name);
}

/* --- text for people --------------------------------------------------------------------- */

static void add_wrapped(struct strbuf *out, const char *prefix, const char *text)
{
    struct bytes rest = bytes_from_text(text);
    size_t width = WRAP_COLUMNS - strlen(prefix);

    while (rest.len > 0) {
        size_t len = rest.len;
        if (len > width) {
            len = bytes_find_last(bytes_first(rest, width + 1), ' ');
        }
        strbuf_add_text(out, prefix);
        strbuf_add(out, bytes_first(rest, len));
        strbuf_add_char(out, '\n');
        rest = bytes_trim(bytes_skip(rest, len));
    }
}

/* Lines of the sample, indented; the default as a comment when the table gives none. */
static void add_sample_lines(struct strbuf *out, const struct config_option *option,
                             const char *indent)
{
    struct bytes rest = bytes_from_text(option->sample);

    if (option->sample == NULL) {
        strbuf_addf(out, "%s#%s %s\n", indent, option->name, option->fallback);
        return;
    }
    while (rest.len > 0) {
        strbuf_add_text(out, indent);
        strbuf_add(out, bytes_cut(&rest, '\n'));
        strbuf_add_char(out, '\n');
    }
}

static bool is_block(const struct config_option *option)
{
    return option->type == CONFIG_BLOCK || option->type == CONFIG_DOMAIN ||
           option->type == CONFIG_SEAL;
}

void config_schema_write_sample(struct strbuf *out)
{
    strbuf_add_text(out, "# postilion: every option, what it means and its default.\n"
                         "# Lines behind \"#\" without a blank are defaults and examples.\n"
                         "# Look at it with: postilion check; postilion check --dump\n\n");
    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        if (option->context[0] != '\0') {
            continue;
        }
        add_wrapped(out, "# ", option->documentation);
        if (!is_block(option)) {
            add_sample_lines(out, option, "");
            strbuf_add_char(out, '\n');
            continue;
        }
        strbuf_addf(out, "%s {\n",
                    option->type == CONFIG_DOMAIN ? option->sample : option->name);
        for (size_t j = 0; j < config_option_count; j++) {
            if (strcmp(config_options[j].context, option->name) == 0) {
                add_wrapped(out, "    # ", config_options[j].documentation);
                add_sample_lines(out, &config_options[j], "    ");
            }
        }
        strbuf_add_text(out, "}\n\n");
    }
    if (out->len > 0) {
        strbuf_truncate(out, out->len - 1);
    }
}

static void add_range(struct strbuf *out, const struct config_option *option)
{
    switch (option->type) {
    case CONFIG_NUMBER:
    case CONFIG_COUNT:
        strbuf_addf(out, "  range     %llu to %llu\n", (unsigned long long)option->least,
                    (unsigned long long)option->most);
        return;
    case CONFIG_SIZE:
        strbuf_addf(out, "  range     %llu to %llu octets (units: K M G)\n",
                    (unsigned long long)option->least, (unsigned long long)option->most);
        return;
    case CONFIG_DURATION:
    case CONFIG_RETRY:
    case CONFIG_HISTORY:
        strbuf_addf(out, "  range     %llus to %llus (units: ms s m h d w)\n",
                    (unsigned long long)(option->least / SECOND),
                    (unsigned long long)(option->most / SECOND));
        return;
    case CONFIG_BLOCK:
    case CONFIG_DOMAIN:
    case CONFIG_POLICY_FOR:
    case CONFIG_SEAL:
    case CONFIG_NAMES:
    case CONFIG_PATTERNS:
    case CONFIG_INCLUDE:
    case CONFIG_TEXT:
    case CONFIG_HOST:
    case CONFIG_PATH:
    case CONFIG_CHOICE:
    case CONFIG_ENDPOINTS:
    case CONFIG_NETWORKS:
    case CONFIG_SOURCE:
    case CONFIG_ROUTE:
    case CONFIG_TLS_FILE:
    case CONFIG_TLS_RULE:
    case CONFIG_CLIENT_RULE:
    case CONFIG_SCANNER:
    case CONFIG_ADMIN:
    case CONFIG_BLOCKLIST:
    case CONFIG_ALLOWLIST:
    case CONFIG_VERIFY:
    case CONFIG_SECRETS:
    case CONFIG_ALIAS:
    case CONFIG_ALIASES:
        return;
    }
}

static void explain(const struct config_option *option, struct strbuf *out)
{
    strbuf_addf(out, "%s %s\n", option->name, option->arguments);
    add_wrapped(out, "  ", option->documentation);
    strbuf_addf(out, "  stands    %s%s\n",
                option->context[0] == '\0' ? "at the top" : "in the block ", option->context);
    if (option->fallback != NULL) {
        strbuf_addf(out, "  default   %s\n", option->fallback);
    }
    add_range(out, option);
    if (option->later != NULL) {
        strbuf_addf(out, "  not yet   %s\n", option->later);
    }
    strbuf_addf(out, "  repeated  %s\n", option->may_repeat ? "as often as you like" : "no");
    strbuf_addf(out, "  change    %s\n",
                option->is_reloadable ? "SIGHUP, no restart needed" : "needs a restart");
}

bool config_schema_explain(struct bytes name, struct strbuf *out)
{
    size_t dot = bytes_find(name, '.');
    struct bytes context = bytes_first(name, dot);
    size_t shown = 0;

    for (size_t i = 0; i < config_option_count; i++) {
        const struct config_option *option = &config_options[i];
        bool is_meant =
            dot < name.len
                ? bytes_equal(bytes_from_text(option->context), context) &&
                      bytes_equal(bytes_from_text(option->name), bytes_skip(name, dot + 1))
                : bytes_equal(bytes_from_text(option->name), name);
        if (is_meant) {
            if (shown++ > 0) {
                strbuf_add_char(out, '\n');
            }
            explain(option, out);
        }
    }
    return shown > 0;
}
