#include "daemon/version_command.h"

#include "io/library_versions.h"

void version_command_run(FILE *out)
{
    struct strbuf libraries;

    strbuf_init(&libraries, 4096);
    library_versions_add(&libraries);
    fprintf(out, "postilion %s\n%s", POSTILION_VERSION, strbuf_text(&libraries));
    fputs("SRS tags: HMAC-SHA256 (modern), HMAC-SHA1 (classic)\n", out);
    strbuf_clear(&libraries);
}
