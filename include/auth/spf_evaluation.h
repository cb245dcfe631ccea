/*
 * spf_evaluation - what one SPF evaluation knows and counts; shared by the parts of spf_check.
 *
 * Life    one round of replay: everything is built anew by the next call of spf_check.
 * Rule    whoever needs an answer asks here. The first one that is not known yet stops the
 *         evaluation (is_waiting): from then on libspf2 only gets "try again" and unwinds.
 * RFC     7208 §4.4, §4.5, §4.6.4, §5.5, §6.2
 */
#ifndef AUTH_SPF_EVALUATION_H
#define AUTH_SPF_EVALUATION_H

#include "auth/spf_check.h"
#include "auth/spf_macro.h"
#include "auth/spf_record.h"

enum { SPF_VOID_LIMIT = 2, SPF_HOST_LIMIT = 10 };

/* A record where it was found. */
struct spf_frame {
    struct bytes domain;
    unsigned depth; /* includes around it */
    struct spf_record record;
    struct spf_frame *redirected; /* where its redirect led, or NULL */
};

struct spf_evaluation {
    const struct spf_identity *identity;
    struct dns_facts *facts;
    struct arena *arena; /* of this round */
    const struct spf_watcher *watcher;
    struct spf_macro_values values;
    struct strbuf name; /* scratch */

    unsigned terms, voids;
    bool is_waiting;       /* an answer is wanted: the library's result means nothing */
    bool is_over_limit;    /* permerror, whatever the library says */
    const char *why;       /* of the first trouble, or NULL */
    struct spf_frame *top; /* whose exp= counts: the first record, or where redirects led */

    bool knows_client_names;
    struct bytes client_names[SPF_HOST_LIMIT]; /* validated (RFC 7208 §5.5) */
    size_t client_name_count;
};

enum spf_found {
    SPF_FOUND,
    SPF_FOUND_WAITING,
    SPF_FOUND_NONE,
    SPF_FOUND_TEMPERROR,
    SPF_FOUND_PERMERROR, /* several records, or one that cannot be parsed */
};

/* Looks the record of a domain up and parses it into *frame (from the arena). */
enum spf_found spf_find_record(struct spf_evaluation *evaluation, struct bytes domain,
                               unsigned depth, struct spf_frame **frame);
/* NULL: not known, the evaluation waits. */
const struct dns_answer *spf_ask(struct spf_evaluation *evaluation, struct bytes name,
                                 uint16_t type);
uint16_t spf_address_type(const struct spf_evaluation *evaluation); /* A or AAAA */
/* False: over the limit, or stopped before. */
bool spf_count_term(struct spf_evaluation *evaluation);
/* Counts an answer that found nothing; false: over the limit. */
bool spf_count_void(struct spf_evaluation *evaluation, const struct dns_answer *answer);
/* The same for the PTR answer, which must be known. */
bool spf_count_void_reverse(struct spf_evaluation *evaluation);
/* The target name of a term or modifier, in the arena. False: it waits for %{p}. */
bool spf_expand_target(struct spf_evaluation *evaluation, const struct spf_frame *frame,
                       struct bytes domain_spec, struct bytes *target);
/* Wants the answers that the terms from `term` on would ask for first; to be called when the
 * evaluation waits anyway. */
void spf_want_ahead(struct spf_evaluation *evaluation, const struct spf_frame *frame,
                    const struct spf_term *term);
/* Wants the addresses of these hosts, all at once; false: the evaluation waits. */
bool spf_ask_hosts(struct spf_evaluation *evaluation, const struct bytes *hosts, size_t count);
/* Does a validated name of the client lie in `domain`? False, too, while it waits. */
bool spf_client_is_in(struct spf_evaluation *evaluation, struct bytes domain);
/* The text of exp= of the top frame, or empty. False: it waits. */
bool spf_explain(struct spf_evaluation *evaluation, struct bytes *explanation);

#endif
