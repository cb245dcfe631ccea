/*
 * archive_scan - what an attachment is by its first octets, and the names of files in it.
 *
 * Input   decoded octets as they stream, cut anywhere.
 * Output  names of the entries of a ZIP archive, from every local and central header wherever it
 *         stands: what extractors go by differs, sizes lie, and an archive may stand behind other
 *         octets or, stored, in another archive. The name an archive made by gzip carries. Kinds, as
 *         media types: application/x-7z-compressed, application/vnd.rar, application/gzip,
 *         application/vnd.ms-cab-compressed, application/x-msdownload (MZ), and two of our own:
 *         application/x-zip-encrypted, application/x-zip-nested (an archive in a ZIP that is
 *         compressed itself, so its names cannot be seen).
 * Limit   ARCHIVE_LOOKAHEAD octets of one header; ARCHIVE_BUDGET octets of headers in all, more is
 *         trouble: time stays linear.
 * Format  APPNOTE.TXT 6.3.10 §4.3.7, §4.3.12, §4.6.9
 */
#ifndef MAIL_ARCHIVE_SCAN_H
#define MAIL_ARCHIVE_SCAN_H

#include "base/bytes.h"

enum {
    ARCHIVE_LOOKAHEAD = 2048,
    ARCHIVE_BUFFER = 8192,
    ARCHIVE_BUDGET = 8 * 1024 * 1024,
};

enum archive_finding {
    ARCHIVE_ENTRY,      /* the name of a file */
    ARCHIVE_KIND,       /* a media type */
    ARCHIVE_UNREADABLE, /* a header that cannot be looked through; the text is empty */
};

struct archive_scan {
    char octets[ARCHIVE_BUFFER];
    size_t length;
    bool is_begun; /* what is there does not stand at the start any more */
    uint32_t *budget;
    void (*found)(void *context, enum archive_finding finding, struct bytes text);
    void *context;
};

/* *borrows* `budget`, which starts as ARCHIVE_BUDGET and may be shared by several scans. */
void archive_scan_init(struct archive_scan *scan, uint32_t *budget,
                       void (*found)(void *context, enum archive_finding finding,
                                     struct bytes text),
                       void *context);
void archive_scan_add(struct archive_scan *scan, struct bytes octets);
void archive_scan_end(struct archive_scan *scan);

#endif
