/*
 * encoded_word - "=?charset?encoding?text?=" looked into, for those who must know what it hides.
 *
 * Input   a text that begins with the word.
 * Output  the octets it stands for, in its own character set.
 * Sets    those in which every octet below 128 is ASCII and stands for nothing but itself: UTF-8
 *         (which must be valid), ISO 8859, Windows-125x, KOI8. What any other set hides is not
 *         known here.
 * RFC     2047 §2, §4; 2231 §5
 */
#ifndef MAIL_ENCODED_WORD_H
#define MAIL_ENCODED_WORD_H

#include "base/strbuf.h"

struct encoded_word {
    struct bytes charset; /* without the language */
    char encoding;        /* 'b' or 'q' */
    struct bytes text;
};

/* Is all of `word` one encoded word? */
bool encoded_word_parse(struct bytes word, struct encoded_word *parsed);
/* False: set unknown here, or the text is wrong. */
bool encoded_word_decode(const struct encoded_word *word, struct strbuf *out);
/* The word written so that it can stand in a name (RFC 2047 §5 (3)): octets of a "Q" text that a
 * name must not have are written in hexadecimal. All other words stay as they are. */
void encoded_word_add_for_phrase(struct strbuf *out, struct bytes whole,
                                 const struct encoded_word *word);

#endif
