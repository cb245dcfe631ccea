/*
 * tag_list - "a=rsa-sha256; d=example.org; ...": the tags of signatures, seals and key records.
 *
 * Input   the text as it stands in the message or the record: folding white space is allowed
 *         around names and values.
 * Output  views into it, in its order; values are trimmed but keep folds and blanks inside.
 * Rules   strict: names are letters, digits and "_", begin with a letter and are compared by
 *         case; values are printable ASCII (UTF-8 too: EAI, RFC 8616) without ";"; one ";" may end
 *         the list; no name twice; TAG_LIST_LIMIT tags. What breaks a rule is no tag list.
 * RFC     6376 §3.2; 8616 §3
 */
#ifndef AUTH_TAG_LIST_H
#define AUTH_TAG_LIST_H

#include "base/strbuf.h"

enum { TAG_LIST_LIMIT = 32 };

struct tag {
    struct bytes name, value;
};

struct tag_list {
    struct tag tags[TAG_LIST_LIMIT];
    size_t count;
};

bool tag_list_parse(struct bytes text, struct tag_list *list);
/* NULL: it is not there. */
const struct tag *tag_list_find(const struct tag_list *list, const char *name);
/* Its value, or an empty view. */
struct bytes tag_list_value(const struct tag_list *list, const char *name);
/* The value without any white space inside: base64 of b=, bh=, p=. */
void tag_value_add_packed(struct strbuf *out, struct bytes value);

#endif
