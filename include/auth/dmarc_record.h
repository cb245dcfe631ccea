/*
 * dmarc_record - one TXT record read as a DMARC policy record.
 *
 * Input   the record's strings joined.
 * Rules   it is a DMARC record only if its first tag is v=DMARC1 (value in this very case,
 *         blanks only around the equals sign). Unknown tags are ignored: pct, rf and ri are
 *         unknown. A tag given again is ignored. A tag that cannot be read counts as absent,
 *         but for p, sp and np: when p is not there or one of the three cannot be read, the
 *         record asks for nothing ("none") if it names somebody to report to, and otherwise
 *         has no policy at all.
 * RFC     9989 §4.7, §4.8, §4.10.1
 */
#ifndef AUTH_DMARC_RECORD_H
#define AUTH_DMARC_RECORD_H

#include "base/bytes.h"

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };

enum dmarc_psd {
    DMARC_PSD_UNKNOWN, /* psd=u, or nothing said */
    DMARC_PSD_NO,      /* an organizational domain */
    DMARC_PSD_YES,     /* a public suffix */
};

struct dmarc_record {
    bool has_policy;           /* false: the tree walk sees it, but there is nothing to apply */
    enum dmarc_policy own;     /* p: for the domain itself */
    enum dmarc_policy below;   /* sp: for what exists below it */
    enum dmarc_policy nowhere; /* np: for what does not exist below it */
    enum dmarc_psd psd;
    bool is_testing;         /* t=y: apply one step less */
    bool is_strict_dkim;     /* adkim=s */
    bool is_strict_spf;      /* aspf=s */
    bool has_report_address; /* rua has at least one address that can be read */
};

/* False: this is no DMARC record. */
bool dmarc_record_parse(struct bytes text, struct dmarc_record *record);
const char *dmarc_policy_text(enum dmarc_policy policy); /* "reject" ... */

#endif
