/*
 * alias_import - alias tables of other programs as ours (forward/alias_line).
 *
 * Input    VIRTUAL: "address  target, target" a line, as Postfix's virtual(5) (hash source text, regexp and pcre tables) and
 *          OpenSMTPD's virtual tables. ALIASES: "name: target, target", as aliases(5) of Postfix and sendmail, OpenSMTPD, Exim's redirect
 *          files. Texts and names are *borrowed* until the import is freed.
 * Use      add every text in the order in which they are searched, finish once, then read the results.
 * Output   a text a domain: one alias a line, comments kept, what was left out as a comment in its place; and a list of all
 *          that was left out, with its reason. Each line of the text is one that alias_line takes.
 * Rules    of one name the first line counts, as there. ":fail:", ":defer:", ":blackhole:", "error:" and /dev/null become :refuse:,
 *          :defer: and :discard:. Programs, files, :include: and mailboxes of that machine are left out: mail is only forwarded here.
 *          A name none of whose targets can be had becomes :defer: where a catch-all or a pattern would take its mail instead.
 *          A name behind a pattern of VIRTUAL that matches it is left out, as there the pattern takes its mail.
 * Names    without a domain belong to `domain`; targets without one are another alias, when there is one (ALIASES), or a
 *          mailbox at `local_domain`.
 * Limits   those of alias_line: what is longer is left out.
 */
#ifndef FORWARD_ALIAS_IMPORT_H
#define FORWARD_ALIAS_IMPORT_H

#include "base/siphash.h"
#include "base/strbuf.h"
#include "forward/alias_line.h"

enum alias_import_kind { ALIAS_IMPORT_VIRTUAL, ALIAS_IMPORT_ALIASES };

struct alias_import_options {
    struct bytes domain;       /* A-labels, lower case; empty: names without one are left out */
    struct bytes local_domain; /* empty: mailboxes of that machine are left out */
    struct siphash_key key;
};

struct alias_import_entry {
    size_t domain;       /* its number */
    struct bytes name;   /* as in our line */
    struct bytes action; /* the same: "a@b.example, c@b.example", ":refuse: 550 no" */
    struct bytes source;
    unsigned line;
};

struct alias_import_problem {
    struct bytes source;
    unsigned line;
    struct bytes text; /* what was left out */
    const char *why;   /* static */
};

struct alias_import;

struct alias_import *alias_import_new(const struct alias_import_options *options);
void alias_import_free(struct alias_import **import); /* safe on NULL */
void alias_import_add(struct alias_import *import, enum alias_import_kind kind,
                      struct bytes source, struct bytes text);
void alias_import_finish(struct alias_import *import);

size_t alias_import_domain_count(const struct alias_import *import);
struct bytes alias_import_domain_name(const struct alias_import *import, size_t domain);
/* In the order of the files; those of domain `domain` are not next to each other. */
size_t alias_import_entry_count(const struct alias_import *import);
const struct alias_import_entry *alias_import_entry(const struct alias_import *import,
                                                    size_t index);
size_t alias_import_problem_count(const struct alias_import *import);
const struct alias_import_problem *alias_import_problem(const struct alias_import *import,
                                                        size_t index);
/* The alias file of one domain. */
void alias_import_add_file(const struct alias_import *import, size_t domain,
                           struct strbuf *out);

#endif
