#include "mail/archive_scan.h"

enum {
    LOCAL_HEADER = 30,
    CENTRAL_HEADER = 46,
    UNICODE_PATH = 0x7075, /* a name that stands for the one in the header */
    FLAG_ENCRYPTED = 1,
    METHOD_STORED = 0,
};

struct zip_header {
    size_t fixed; /* octets in front of the name */
    unsigned flags, method;
    size_t name_length, extra_length;
};

static unsigned read_16(struct bytes octets, size_t at)
{
    return (unsigned)(unsigned char)octets.data[at] |
           (unsigned)(unsigned char)octets.data[at + 1] << 8;
}

static void report(struct archive_scan *scan, enum archive_finding finding, struct bytes text)
{
    scan->found(scan->context, finding, text);
}

/* False: there was too much to look through. */
static bool spend(struct archive_scan *scan, size_t octets)
{
    if (*scan->budget < octets) {
        *scan->budget = 0;
        report(scan, ARCHIVE_UNREADABLE, BYTES(""));
        return false;
    }
    *scan->budget -= (uint32_t)octets;
    return true;
}

/* ---- what its first octets say ------------------------------------------------------------ */

struct magic {
    struct bytes octets;
    const char *type;
};

#define MAGIC(octets, type)                                                                    \
    {                                                                                          \
        {octets, sizeof(octets) - 1}, type                                                     \
    }

static const struct magic MAGICS[] = {
    MAGIC("7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    MAGIC("Rar!\x1a\x07", "application/vnd.rar"),
    MAGIC("\x1f\x8b\x08", "application/gzip"),
    MAGIC("MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
};

/* "MZ" alone begins many a text; a program has NUL octets in its head. */
static bool is_program(struct bytes octets)
{
    return bytes_starts_with(octets, BYTES("MZ")) &&
           bytes_find(bytes_first(octets, 64), '\0') < (octets.len < 64 ? octets.len : 64);
}

static const char *kind_of(struct bytes octets)
{
    for (size_t i = 0; i < sizeof MAGICS / sizeof MAGICS[0]; i++) {
        if (bytes_starts_with(octets, MAGICS[i].octets)) {
            return MAGICS[i].type;
        }
    }
    return is_program(octets) ? "application/x-msdownload" : NULL;
}

/* RFC 1952 §2.3: the name stands behind the optional extra field, up to a NUL. */
static void read_gzip_name(struct archive_scan *scan, struct bytes octets)
{
    size_t at = 10;

    if (octets.len < at + 2 || (octets.data[3] & 8) == 0) {
        return;
    }
    if ((octets.data[3] & 4) != 0) {
        at += 2 + read_16(octets, at);
    }
    octets = bytes_skip(octets, at);
    report(scan, ARCHIVE_ENTRY, bytes_first(octets, bytes_find(octets, '\0')));
}

static void look_at_start(struct archive_scan *scan, struct bytes octets)
{
    const char *kind = kind_of(octets);

    if (kind == NULL) {
        return;
    }
    report(scan, ARCHIVE_KIND, bytes_from_text(kind));
    if (bytes_starts_with(octets, BYTES("\x1f\x8b"))) {
        read_gzip_name(scan, octets);
    }
}

/* ---- headers of a ZIP archive ------------------------------------------------------------- */

/* Four octets that look like a header come up by chance, too. */
static bool is_known_method(unsigned method)
{
    return method <= 20 || (method >= 93 && method <= 99);
}

static bool is_archive_name(struct bytes name)
{
    static const char *const ENDINGS[] = {".zip", ".zipx", ".7z",  ".rar", ".gz",
                                          ".tgz", ".bz2",  ".xz",  ".cab", ".arj",
                                          ".lzh", ".ace",  ".iso", ".img"};

    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        if (bytes_ends_with_nocase(name, bytes_from_text(ENDINGS[i]))) {
            return true;
        }
    }
    return false;
}

static void report_name(struct archive_scan *scan, const struct zip_header *header,
                        struct bytes name)
{
    if (name.len == 0 || name.data[name.len - 1] == '/') {
        return; /* a folder */
    }
    report(scan, ARCHIVE_ENTRY, name);
    if (header->method != METHOD_STORED && is_archive_name(name)) {
        report(scan, ARCHIVE_KIND, BYTES("application/x-zip-nested"));
    }
}

/* Another name in the extra fields is the one that some extractors go by. */
static void look_at_extras(struct archive_scan *scan, const struct zip_header *header,
                           struct bytes view)
{
    struct bytes extras = bytes_first(bytes_skip(view, header->fixed + header->name_length),
                                      header->extra_length);
    bool is_cut = extras.len < header->extra_length && view.len == ARCHIVE_LOOKAHEAD;

    while (extras.len >= 4) {
        unsigned id = read_16(extras, 0);
        struct bytes field = bytes_first(bytes_skip(extras, 4), read_16(extras, 2));

        if (id == 0) {
            return; /* octets that align what follows */
        }
        if (id == UNICODE_PATH && field.len > 5) {
            report_name(scan, header, bytes_skip(field, 5));
        }
        extras = bytes_skip(extras, 4 + (size_t)read_16(extras, 2));
    }
    if (is_cut && is_known_method(header->method)) {
        report(scan, ARCHIVE_UNREADABLE, BYTES(""));
    }
}

/* What lies in the archive as it is can be looked at. */
static void look_at_stored(struct archive_scan *scan, const struct zip_header *header,
                           struct bytes view)
{
    size_t start = header->fixed + header->name_length + header->extra_length;
    const char *kind;

    if (header->fixed != LOCAL_HEADER || header->method != METHOD_STORED) {
        return;
    }
    kind = kind_of(bytes_skip(view, start));
    if (kind != NULL) {
        report(scan, ARCHIVE_KIND, bytes_from_text(kind));
    }
}

static void look_at_header(struct archive_scan *scan, const struct zip_header *header,
                           struct bytes view)
{
    size_t end = header->fixed + header->name_length;

    if (header->name_length == 0 || !spend(scan, 64 + header->name_length)) {
        return;
    }
    if (end > view.len && view.len == ARCHIVE_LOOKAHEAD) {
        if (is_known_method(header->method)) {
            report(scan, ARCHIVE_UNREADABLE, BYTES(""));
        }
        return;
    }
    report_name(scan, header, bytes_between(view, header->fixed, end));
    if ((header->flags & FLAG_ENCRYPTED) != 0 && is_known_method(header->method)) {
        report(scan, ARCHIVE_KIND, BYTES("application/x-zip-encrypted"));
    }
    if (header->extra_length > 0 && spend(scan, header->extra_length)) {
        look_at_extras(scan, header, view);
    }
    look_at_stored(scan, header, view);
}

static void look_at_signature(struct archive_scan *scan, struct bytes view)
{
    struct zip_header header;

    if (bytes_starts_with(view, BYTES("PK\3\4")) && view.len >= LOCAL_HEADER) {
        header = (struct zip_header){LOCAL_HEADER, read_16(view, 6), read_16(view, 8),
                                     read_16(view, 26), read_16(view, 28)};
    } else if (bytes_starts_with(view, BYTES("PK\1\2")) && view.len >= CENTRAL_HEADER) {
        header = (struct zip_header){CENTRAL_HEADER, read_16(view, 8), read_16(view, 10),
                                     read_16(view, 28), read_16(view, 30)};
    } else {
        return;
    }
    look_at_header(scan, &header, view);
}

/* Looks at each place below `end`; each time at no more than a header may take. */
static void look_through(struct archive_scan *scan, size_t end)
{
    struct bytes all = bytes_of(scan->octets, scan->length);
    size_t at = 0;

    if (!scan->is_begun) {
        scan->is_begun = true;
        look_at_start(scan, bytes_first(all, ARCHIVE_LOOKAHEAD));
    }
    while (at<end && * scan->budget> 0) {
        const char *p = memchr(all.data + at, 'P', end - at);

        if (p == NULL) {
            break;
        }
        at = (size_t)(p - all.data);
        if (at + 4 <= all.len && p[1] == 'K') {
            look_at_signature(scan, bytes_first(bytes_skip(all, at), ARCHIVE_LOOKAHEAD));
        }
        at++;
    }
}

void archive_scan_init(struct archive_scan *scan, uint32_t *budget,
                       void (*found)(void *context, enum archive_finding finding,
                                     struct bytes text),
                       void *context)
{
    scan->length = 0;
    scan->is_begun = false;
    scan->budget = budget;
    scan->found = found;
    scan->context = context;
}

void archive_scan_add(struct archive_scan *scan, struct bytes octets)
{
    while (octets.len > 0) {
        struct bytes piece = bytes_first(octets, ARCHIVE_BUFFER - scan->length);

        memcpy(scan->octets + scan->length, piece.data, piece.len);
        scan->length += piece.len;
        octets = bytes_skip(octets, piece.len);
        if (scan->length == ARCHIVE_BUFFER) {
            look_through(scan, ARCHIVE_BUFFER - ARCHIVE_LOOKAHEAD);
            memmove(scan->octets, scan->octets + ARCHIVE_BUFFER - ARCHIVE_LOOKAHEAD,
                    ARCHIVE_LOOKAHEAD);
            scan->length = ARCHIVE_LOOKAHEAD;
        }
    }
}

void archive_scan_end(struct archive_scan *scan)
{
    look_through(scan, scan->length);
    scan->length = 0;
}
