#include "forward/sender_proof.h"

#include "auth/idn_domain.h"

/* The same name, or one below it. A single label speaks for nobody. */
static bool is_within(struct bytes name, struct bytes domain)
{
    if (domain.len == 0 || bytes_find(domain, '.') == domain.len || name.len < domain.len) {
        return false;
    }
    return bytes_equal_nocase(bytes_skip(name, name.len - domain.len), domain) &&
           (name.len == domain.len || name.data[name.len - domain.len - 1] == '.');
}

static bool is_signed(struct bytes name, const struct dkim_verdicts *dkim)
{
    for (size_t i = 0; i < dkim->count; i++) {
        if (dkim->verdicts[i].result == AUTH_PASS &&
            is_within(name, dkim->verdicts[i].domain)) {
            return true;
        }
    }
    return false;
}

bool sender_is_proven(const struct smtp_mailbox *sender,
                      const struct message_verdicts *verdicts, struct arena *arena)
{
    const struct dmarc_verdict *dmarc = &verdicts->dmarc;
    struct bytes name;

    if (smtp_mailbox_is_null(sender)) {
        return false;
    }
    if (verdicts->spf_mail_from.result == AUTH_PASS) {
        return true;
    }
    if (sender->is_literal || !idn_domain_to_ascii(sender->domain, arena, &name)) {
        return false;
    }
    return is_signed(name, &verdicts->dkim) ||
           (dmarc->is_every_author_proven && dmarc->aligned_by == DMARC_BY_DKIM &&
            is_within(name, dmarc->author));
}
