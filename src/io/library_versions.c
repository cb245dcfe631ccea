#include "io/library_versions.h"

#include <ares.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <seccomp.h>
#include <sqlite3.h>

void library_versions_add(struct strbuf *out)
{
    strbuf_addf(out, "libevent %s\n", event_get_version());
    strbuf_addf(out, "c-ares %s\n", ares_version(NULL));
    strbuf_addf(out, "%s\n", OpenSSL_version(OPENSSL_VERSION));
    strbuf_addf(out, "SQLite %s\n", sqlite3_libversion());
    strbuf_addf(out, "libseccomp %u.%u.%u\n", seccomp_version()->major,
                seccomp_version()->minor, seccomp_version()->micro);
}
