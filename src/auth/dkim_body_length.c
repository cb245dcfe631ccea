#include "auth/dkim_body_length.h"

static void end_line(struct dkim_body_length *length)
{
    if (length->has_octets) {
        length->simple = length->total;
    }
    if (length->line == 0) {
        length->empty_lines++;
    } else {
        length->relaxed += 2 * length->empty_lines + length->line + 2;
        length->empty_lines = 0;
    }
    length->line = 0;
    length->has_octets = length->has_blank = false;
}

static void add_text(struct dkim_body_length *length)
{
    length->line += length->has_blank ? 2 : 1; /* a run of blanks is one space */
    length->has_blank = false;
    length->has_octets = true;
}

void dkim_body_length_add(struct dkim_body_length *length, struct bytes octets)
{
    for (size_t i = 0; i < octets.len; i++) {
        char octet = octets.data[i];

        length->total++;
        if (octet == '\n' && length->has_cr) {
            length->has_cr = false;
            end_line(length);
            continue;
        }
        if (length->has_cr) {
            add_text(length); /* a CR that ends no line is text */
        }
        length->has_cr = octet == '\r';
        if (octet == ' ' || octet == '\t') {
            length->has_blank = length->has_octets = true;
        } else if (octet != '\r') {
            add_text(length);
        }
    }
}

uint64_t dkim_body_length_simple(const struct dkim_body_length *length)
{
    return length->simple == 0 ? 2 : length->simple; /* no body at all is one CRLF */
}

uint64_t dkim_body_length_relaxed(const struct dkim_body_length *length)
{
    return length->relaxed;
}
