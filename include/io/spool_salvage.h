/*
 * spool_salvage - copies what is whole of a damaged spool into a new one.
 *
 * From     the files of a spool that no daemon has open, read page by page without SQLite: damage to one page
 *          loses what stands on that page, nothing else. Nothing is ever written there.
 * Whole    a message: its checksum holds, its content file is there in full length, the caller can read its
 *          envelope. A delivery: its row makes sense, the caller believes its addresses, its message is whole.
 * Index    made anew. The old one says which deliveries there were: what it names and nobody has is lost, and
 *          rows that it does not name are closed ones on pages that were free.
 * Without  page 1 the trees are found where they begin in every new spool. What cannot be reached is taken from
 *          any page that has such rows: when neither the list of free pages nor the index can be read, a delivery
 *          that had been closed may come back, rather than one that was open be lost.
 * Limits   memory for one message, one octet a page, and a row of an index for each delivery.
 */
#ifndef IO_SPOOL_SALVAGE_H
#define IO_SPOOL_SALVAGE_H

#include "io/spool.h"

struct spool_salvage_options {
    const char *from, *to; /* directories; `to` is made when needed, and has no spool */
    bool (*is_readable)(const struct spool_message *message); /* without content */
    bool (*is_believable)(const struct spool_delivery *row);
    /* What is in the new spool when all has gone well. */
    void (*saved)(void *context, uint64_t id, uint64_t deliveries);
    /* One delivery, or (row NULL) a message with all of them. Of the row the message, the number and what of
     * destination and recipient is known. */
    void (*lost)(void *context, uint64_t id, const struct spool_delivery *row, const char *why);
    void *context;
};

struct spool_salvage_summary {
    uint64_t messages, deliveries;           /* saved */
    uint64_t lost_messages, lost_deliveries; /* that are known of */
    uint64_t lost_pages; /* that make no sense, and may have held what nobody knows of */
};

/* SPOOL_GONE: there is no spool; SPOOL_LOCKED: somebody has it; SPOOL_FULL, SPOOL_FAILED: the new one
 * could not be written; *why then. */
enum spool_status spool_salvage(const struct spool_salvage_options *options,
                                struct spool_salvage_summary *summary, struct strbuf *why);

#endif
