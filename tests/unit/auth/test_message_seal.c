#include "support/check.h"

#include "auth/dkim_verify.h"
#include "auth/message_seal.h"
#include "auth/tag_list.h"
#include "base/memory.h"

#include <stdlib.h>

enum { NOW = 1790000000, TEXT_LIMIT = 1 << 20 };

#define RESULTS "mx.example.org; spf=pass smtp.mailfrom=a@example.com;\r\n\tdmarc=pass"
#define BODY "Hello\r\n"
#define FROM_TO "From: a@example.com\r\nTo: b@example.org\r\n"

struct world {
    struct signing_key *rsa, *ed25519;
    struct seal_key keys[2];
    struct seal seal;
    struct strbuf records[2];
    struct dkim_library *library;
    struct dkim_key_cache *cache;
};

static int set_up(void **state)
{
    struct world *world = memory_zero(sizeof *world);

    world->rsa = signing_key_make(SIGNING_RSA_SHA256);
    world->ed25519 = signing_key_make(SIGNING_ED25519_SHA256);
    world->keys[0] = (struct seal_key){BYTES("e"), world->ed25519};
    world->keys[1] = (struct seal_key){BYTES("r"), world->rsa};
    world->seal = (struct seal){BYTES("fwd.example.org"), world->keys, 2, true, true};
    for (size_t i = 0; i < 2; i++) {
        strbuf_init(&world->records[i], 2000);
        signing_key_add_record(world->keys[i].key, &world->records[i]);
    }
    world->library = dkim_library_new();
    world->cache = dkim_key_cache_new();
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < 2; i++) {
        strbuf_clear(&world->records[i]);
    }
    signing_key_free(&world->rsa);
    signing_key_free(&world->ed25519);
    dkim_library_free(&world->library);
    dkim_key_cache_free(&world->cache);
    free(world);
    return 0;
}

/* --- what the others make of it --- */

/* Our two keys are known; every other name is not there. */
static void answer_wanted(const struct world *world, struct dns_facts *facts)
{
    const struct dns_question *wanted;
    size_t count;

    for (wanted = dns_facts_wanted(facts, &count); count != 0;
         wanted = dns_facts_wanted(facts, &count)) {
        struct dns_record record = {.type = DNS_TYPE_TXT};
        struct dns_answer answer = {.status = DNS_NXDOMAIN};

        for (size_t i = 0; i < 2; i++) {
            struct bytes selector = world->keys[i].selector;

            if (bytes_equal(bytes_first(wanted[0].name, 2),
                            i == 0 ? BYTES("e.") : BYTES("r.")) &&
                bytes_equal(bytes_skip(wanted[0].name, selector.len),
                            BYTES("._domainkey.fwd.example.org"))) {
                record.text = strbuf_bytes(&world->records[i]);
                answer = (struct dns_answer){
                    .status = DNS_OK, .ttl = 300, .records = &record, .count = 1};
            }
        }
        dns_facts_put(facts, wanted[0].name, wanted[0].type, &answer);
    }
}

struct message {
    struct bytes header, body;
};

static struct message split(struct bytes text)
{
    struct bytes header = bytes_first(text, header_block_length(text));

    return (struct message){header, bytes_skip(text, header.len + 2)};
}

/* How many DKIM signatures pass, by libopendkim. */
static size_t count_dkim_passes(const struct world *world, struct bytes text)
{
    struct message message = split(text);
    struct dkim_verifier *verifier = dkim_verifier_new(world->library, NOW);
    struct dns_facts *facts = dns_facts_new();
    struct arena *arena = arena_new();
    struct dkim_verdicts verdicts;
    size_t passes = 0;

    dkim_verifier_header(verifier, message.header, facts);
    answer_wanted(world, facts);
    dkim_verifier_body(verifier, message.body);
    CHECK_INT("finish", dkim_verifier_finish(verifier, facts, arena, &verdicts), AUTH_DONE);
    for (size_t i = 0; i < verdicts.count; i++) {
        passes += verdicts.verdicts[i].result == AUTH_PASS;
    }
    dkim_verifier_free(&verifier);
    dns_facts_free(&facts);
    arena_free(&arena);
    return passes;
}

static struct arc_verdict verify_arc(const struct world *world, struct bytes text,
                                     struct arena *arena)
{
    struct message message = split(text);
    struct arc_verifier *verifier = arc_verifier_new(world->cache, NOW);
    struct dns_facts *facts = dns_facts_new();
    struct arc_verdict verdict;

    arc_verifier_header(verifier, message.header, facts);
    answer_wanted(world, facts);
    arc_verifier_body(verifier, message.body);
    CHECK_INT("finish", arc_verifier_finish(verifier, facts, arena, &verdict), AUTH_DONE);
    arc_verifier_free(&verifier);
    dns_facts_free(&facts);
    return verdict;
}

static enum auth_result arc_result(const struct world *world, struct bytes text)
{
    struct arena *arena = arena_new();
    enum auth_result result = verify_arc(world, text, arena).result;

    arena_free(&arena);
    return result;
}

/* --- sealing --- */

static struct seal_input input_of(struct message message, const struct arc_verdict *chain)
{
    struct seal_input input = {.header = message.header,
                               .unix_seconds = NOW,
                               .results = BYTES(RESULTS),
                               .chain = chain};
    struct body_hash *hash = body_hash_new(CANONICAL_RELAXED);

    body_hash_add(hash, message.body);
    body_hash_finish(hash, input.body_hash);
    body_hash_free(&hash);
    return input;
}

/* Puts an ARC set of ours on top, as the chain that is there asks for. */
static void seal_arc(const struct world *world, struct strbuf *text)
{
    struct arena *arena = arena_new();
    struct arc_verdict chain = verify_arc(world, strbuf_bytes(text), arena);
    struct seal_input input = input_of(split(strbuf_bytes(text)), &chain);
    struct strbuf out;

    strbuf_init(&out, TEXT_LIMIT);
    CHECK_TRUE("sealed", message_seal_add_arc(&out, &world->seal, &input));
    strbuf_add(&out, strbuf_bytes(text));
    strbuf_reset(text);
    strbuf_add(text, strbuf_bytes(&out));
    strbuf_clear(&out);
    arena_free(&arena);
}

static void sign_dkim(const struct world *world, struct strbuf *text)
{
    struct seal_input input = input_of(split(strbuf_bytes(text)), NULL);
    struct strbuf out;

    strbuf_init(&out, TEXT_LIMIT);
    CHECK_TRUE("signed", message_seal_add_dkim(&out, &world->seal, &input));
    strbuf_add(&out, strbuf_bytes(text));
    strbuf_reset(text);
    strbuf_add(text, strbuf_bytes(&out));
    strbuf_clear(&out);
}

static void start_text(struct strbuf *text, struct bytes start)
{
    strbuf_init(text, TEXT_LIMIT);
    strbuf_add(text, start);
}

/* --- the form of what we add --- */

static struct header_field field_at(struct bytes text, size_t number)
{
    struct header_field field = {0};

    for (size_t i = 0; i <= number; i++) {
        assert_true(header_field_next(&text, &field));
    }
    return field;
}

static void read_tags(struct bytes text, size_t number, struct tag_list *tags)
{
    CHECK_TRUE("tag list", tag_list_parse(field_at(text, number).value, tags));
}

static void check_tag(const struct tag_list *tags, const char *name, const char *want)
{
    struct strbuf packed;

    strbuf_init(&packed, TEXT_LIMIT);
    tag_value_add_packed(&packed, tag_list_value(tags, name));
    CHECK_TEXT(name, strbuf_text(&packed), want);
    strbuf_clear(&packed);
}

static void check_lines(struct bytes text)
{
    while (text.len != 0 && !bytes_starts_with(text, BYTES("From:"))) {
        size_t line = bytes_find_part(text, BYTES("\r\n"));

        CHECK_TRUE("columns", line <= 78);
        CHECK_TRUE("white space before a line end",
                   line == 0 || (text.data[line - 1] != ' ' && text.data[line - 1] != '\t'));
        text = bytes_skip(text, line + 2);
    }
}

static void dkim_fields_hold_what_they_should(void **state)
{
    const struct world *world = *state;
    struct tag_list tags;
    struct strbuf text;

    start_text(&text, BYTES(FROM_TO "Cc: x\r\ncc: y\r\nReceived: z\r\nReferences: <1>\r\n"
                                    "DKIM-Signature: v=1\r\n\r\n" BODY));
    sign_dkim(world, &text);
    CHECK_INT("passes", count_dkim_passes(world, strbuf_bytes(&text)), 2);
    for (size_t i = 0; i < 2; i++) {
        CHECK_BYTES("name", field_at(strbuf_bytes(&text), i).name, BYTES("DKIM-Signature"));
        read_tags(strbuf_bytes(&text), i, &tags);
        CHECK_INT("tags", tags.count, 9);
        check_tag(&tags, "v", "1");
        check_tag(&tags, "a", i == 0 ? "ed25519-sha256" : "rsa-sha256");
        check_tag(&tags, "c", "relaxed/relaxed");
        check_tag(&tags, "d", "fwd.example.org");
        check_tag(&tags, "s", i == 0 ? "e" : "r");
        check_tag(&tags, "t", "1790000000");
        check_tag(&tags, "h", "From:From:Subject:To:To:Date:Message-ID:Cc:Cc:References");
        CHECK_INT("bh", tag_list_value(&tags, "bh").len, 44);
    }
    check_lines(strbuf_bytes(&text));
    strbuf_clear(&text);
}

static void a_set_holds_what_it_should(void **state)
{
    const struct world *world = *state;
    struct tag_list tags;
    struct strbuf text;

    start_text(&text, BYTES("Received: z\r\nAuthentication-Results: a\r\n" FROM_TO
                            "DKIM-Signature: v=1\r\nDKIM-Signature: v=2\r\n\r\n" BODY));
    seal_arc(world, &text);
    CHECK_BYTES("AS", field_at(strbuf_bytes(&text), 0).name, BYTES("ARC-Seal"));
    CHECK_BYTES("AMS", field_at(strbuf_bytes(&text), 1).name, BYTES("ARC-Message-Signature"));
    CHECK_BYTES("AAR", field_at(strbuf_bytes(&text), 2).whole,
                BYTES("ARC-Authentication-Results: i=1;\r\n\t" RESULTS "\r\n"));
    read_tags(strbuf_bytes(&text), 0, &tags);
    CHECK_INT("tags of AS", tags.count, 7);
    check_tag(&tags, "i", "1");
    check_tag(&tags, "a", "rsa-sha256");
    check_tag(&tags, "t", "1790000000");
    check_tag(&tags, "cv", "none");
    check_tag(&tags, "d", "fwd.example.org");
    check_tag(&tags, "s", "r");
    read_tags(strbuf_bytes(&text), 1, &tags);
    CHECK_INT("tags of AMS", tags.count, 9);
    check_tag(&tags, "i", "1");
    check_tag(&tags, "c", "relaxed/relaxed");
    check_tag(&tags, "h",
              "From:From:Subject:To:To:Date:Message-ID:DKIM-Signature:DKIM-Signature");
    check_lines(strbuf_bytes(&text));
    strbuf_clear(&text);
}

static void results_are_stated_as_they_stand(void **state)
{
    const struct world *world = *state;
    struct arc_verdict chain = {.result = AUTH_NONE};
    struct message message = split(BYTES(FROM_TO "\r\n" BODY));
    struct {
        struct bytes results;
        const char *want;
    } cases[] = {
        {BYTES("mx; spf=none"), "ARC-Authentication-Results: i=1; mx; spf=none\r\n"},
        {BYTES(" mx;\r\n\tspf=none;\r\n\tarc=none\r\n"),
         "ARC-Authentication-Results: i=1; mx;\r\n\tspf=none;\r\n\tarc=none\r\n"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seal_input input = input_of(message, &chain);
        struct strbuf out;

        input.results = cases[i].results;
        strbuf_init(&out, TEXT_LIMIT);
        CHECK_TRUE("sealed", message_seal_add_arc(&out, &world->seal, &input));
        CHECK_BYTES("AAR", field_at(strbuf_bytes(&out), 2).whole,
                    bytes_from_text(cases[i].want));
        strbuf_clear(&out);
    }
}

/* --- what is added to which chain --- */

struct chain_row {
    const char *name;
    const char *fields; /* of ARC in the header */
    struct arc_verdict chain;
    const char *want_instance; /* NULL: nothing is added */
    const char *want_cv;
};

#define SET(i, cv)                                                                             \
    "ARC-Seal: i=" i "; cv=" cv "\r\nARC-Message-Signature: i=" i "\r\n"                       \
    "ARC-Authentication-Results: i=" i "; mx\r\n"

/* clang-format off */
static const struct chain_row chain_rows[] = {
    {"none", "", {.result = AUTH_NONE}, "1", "none"},
    {"pass", SET("1", "none"), {.result = AUTH_PASS, .newest = 1}, "2", "pass"},
    {"fail", SET("1", "none"), {.result = AUTH_FAIL, .newest = 1}, "2", "fail"},
    {"closed", SET("1", "fail"), {.result = AUTH_FAIL, .newest = 1, .is_closed = true}, NULL, NULL},
    {"closed, by the verdict's word", SET("1", "none"), {.result = AUTH_FAIL, .newest = 1, .is_closed = true}, NULL, NULL},
    {"an instance among comments", "ARC-Seal: a=1; i = 1\r\nARC-Message-Signature: i=1\r\n"
     "ARC-Authentication-Results: (c) i\r\n (x (y) \\)) = 1 (z) ; mx\r\n", {.result = AUTH_PASS, .newest = 1}, "2", "pass"},
    {"temperror", SET("1", "none"), {.result = AUTH_TEMPERROR, .newest = 1}, NULL, NULL},
    {"broken, cannot be counted", "ARC-Seal: x\r\n", {.result = AUTH_FAIL}, "1", "fail"},
    {"a gap: above the highest", SET("3", "pass"), {.result = AUTH_FAIL}, "4", "fail"},
    {"a gap, and the highest is closed", SET("3", " fail"), {.result = AUTH_FAIL}, NULL, NULL},
    {"a gap, one below is closed", SET("3", "pass") SET("2", "fail"), {.result = AUTH_FAIL}, "4", "fail"},
    {"full", SET("50", "pass"), {.result = AUTH_FAIL, .newest = 50}, NULL, NULL},
    {"49 is not full", SET("49", "pass"), {.result = AUTH_FAIL, .newest = 49}, "50", "fail"},
    {"over full", SET("77", "pass"), {.result = AUTH_FAIL, .newest = 0}, NULL, NULL},
    {"the verdict is of another header", "", {.result = AUTH_PASS, .newest = 1}, NULL, NULL},
};
/* clang-format on */

static void check_chain(const struct world *world, const struct chain_row *row)
{
    struct strbuf text, out;
    struct seal_input input;

    start_text(&text, bytes_from_text(row->fields));
    strbuf_add_text(&text, FROM_TO "\r\n" BODY);
    strbuf_init(&out, TEXT_LIMIT);
    input = input_of(split(strbuf_bytes(&text)), &row->chain);
    CHECK_TRUE(row->name, message_seal_add_arc(&out, &world->seal, &input));
    if (row->want_instance == NULL) {
        CHECK_INT(row->name, out.len, 0);
    } else {
        struct tag_list tags;

        read_tags(strbuf_bytes(&out), 0, &tags);
        CHECK_BYTES(row->name, tag_list_value(&tags, "i"), bytes_from_text(row->want_instance));
        CHECK_BYTES(row->name, tag_list_value(&tags, "cv"), bytes_from_text(row->want_cv));
        read_tags(strbuf_bytes(&out), 1, &tags);
        CHECK_BYTES(row->name, tag_list_value(&tags, "i"), bytes_from_text(row->want_instance));
    }
    strbuf_clear(&text);
    strbuf_clear(&out);
}

static void sets_are_added_as_the_table_says(void **state)
{
    for (size_t i = 0; i < COUNT_OF(chain_rows); i++) {
        check_chain(*state, &chain_rows[i]);
    }
}

static void without_an_rsa_key_there_is_no_set(void **state)
{
    struct world *world = *state;
    struct seal seal = {world->seal.domain, world->keys, 1, true, true};
    struct arc_verdict chain = {.result = AUTH_NONE};
    struct seal_input input = input_of(split(BYTES(FROM_TO "\r\n" BODY)), &chain);
    struct strbuf out;

    strbuf_init(&out, TEXT_LIMIT);
    CHECK_TRUE("done", message_seal_add_arc(&out, &seal, &input));
    CHECK_INT("nothing", out.len, 0);
    strbuf_clear(&out);
}

static void chains_of_ours_pass_up_to_the_limit(void **state)
{
    const struct world *world = *state;
    struct strbuf text;

    start_text(&text, BYTES(FROM_TO "\r\n" BODY));
    for (unsigned i = 1; i <= ARC_SET_LIMIT; i++) {
        struct arena *arena = arena_new();
        struct arc_verdict verdict;

        seal_arc(world, &text);
        verdict = verify_arc(world, strbuf_bytes(&text), arena);
        CHECK_INT("result", verdict.result, AUTH_PASS);
        CHECK_INT("newest", verdict.newest, i);
        arena_free(&arena);
    }
    {
        size_t len = text.len;

        seal_arc(world, &text);
        CHECK_INT("no more", text.len, len);
    }
    strbuf_clear(&text);
}

/* The value of b= of the seal on top, if it covered this many sets: RSA signs the same twice. */
static void sign_again(const struct world *world, struct bytes text, size_t sets,
                       struct strbuf *signature)
{
    unsigned char digest[BODY_HASH_OCTETS];
    struct header_field field;
    struct strbuf covered;

    strbuf_init(&covered, TEXT_LIMIT);
    for (size_t set = sets; set-- != 0;) {
        for (size_t kind = 3; kind-- != 0;) {
            field = field_at(text, 3 * set + kind);
            if (set == 0 && kind == 0) {
                canonical_signature_add(&covered, CANONICAL_RELAXED, &field);
            } else {
                canonical_field_add(&covered, CANONICAL_RELAXED, &field);
            }
        }
    }
    canonical_digest(strbuf_bytes(&covered), digest);
    CHECK_TRUE("signed", signing_key_sign(world->rsa, digest, signature));
    strbuf_clear(&covered);
}

static void check_covers(const struct world *world, struct bytes text, size_t sets)
{
    struct tag_list tags;
    struct strbuf want;

    strbuf_init(&want, TEXT_LIMIT);
    sign_again(world, text, sets, &want);
    read_tags(text, 0, &tags);
    check_tag(&tags, "b", strbuf_text(&want));
    strbuf_clear(&want);
}

static void a_failed_chain_is_sealed_once_and_alone(void **state)
{
    const struct world *world = *state;
    struct strbuf text;
    struct arena *arena = arena_new();
    struct arc_verdict verdict;
    size_t len;

    start_text(&text, BYTES(FROM_TO "\r\n" BODY));
    seal_arc(world, &text);
    check_covers(world, strbuf_bytes(&text), 1);
    seal_arc(world, &text);
    check_covers(world, strbuf_bytes(&text), 2);
    strbuf_add_text(&text, "changed\r\n");
    seal_arc(world, &text);
    check_covers(world, strbuf_bytes(&text), 1);
    verdict = verify_arc(world, strbuf_bytes(&text), arena);
    CHECK_INT("result", verdict.result, AUTH_FAIL);
    CHECK_TRUE("closed", verdict.is_closed);
    len = text.len;
    seal_arc(world, &text);
    CHECK_INT("nothing more", text.len, len);
    strbuf_clear(&text);
    arena_free(&arena);
}

static void many_fields_of_a_name_keep_h_short(void **state)
{
    const struct world *world = *state;
    struct tag_list tags;
    struct strbuf text;

    start_text(&text, BYTES(""));
    for (int i = 0; i < 900; i++) {
        strbuf_add_text(&text, i % 9 == 0   ? "Content-Transfer-Encoding: 7bit\r\n"
                               : i % 9 == 1 ? "Resent-Message-ID: <1>\r\n"
                                            : "List-Unsubscribe-Post: x\r\n");
    }
    strbuf_add_text(&text, FROM_TO "\r\n" BODY);
    sign_dkim(world, &text);
    read_tags(strbuf_bytes(&text), 1, &tags);
    CHECK_TRUE("h=", tag_list_value(&tags, "h").len < 4000);
    CHECK_INT("passes", count_dkim_passes(world, strbuf_bytes(&text)), 2);
    strbuf_clear(&text);
}

/* --- random messages --- */

static size_t pick(size_t count)
{
    return (size_t)rand() % count;
}

static void add_random_value(struct strbuf *text, size_t words)
{
    static const char *const parts[] = {
        "word", "a", "\xc3\xbc",    "=?utf-8?q?x?=", "\xe4\xf6",
        ":",    ";", "<1@example>", "\"q; b=\"",     "0123456789"};
    static const char *const gaps[] = {" ",      "  ",       "\t",        "\r\n ",
                                       "\r\n\t", " \r\n\t ", "\r\n \r\n "};

    for (size_t i = 0; i < words; i++) {
        if (i != 0 || pick(4) != 0) {
            strbuf_add_text(text, gaps[pick(i == 0 ? 5 : COUNT_OF(gaps))]);
        }
        if (pick(50) == 0) {
            for (size_t j = 0; j < 1100; j++) {
                strbuf_add_char(text, (char)('a' + pick(26)));
            }
        } else {
            strbuf_add_text(text, parts[pick(COUNT_OF(parts))]);
        }
    }
    strbuf_add_text(text, pick(8) == 0 ? " \t\r\n" : "\r\n");
}

enum { OBSOLETE_NAMES = 2 };

/* libopendkim does not verify signatures over names with blanks behind them. */
static void add_random_header(struct strbuf *text, bool with_obsolete)
{
    static const char *const names[] = {
        "Subject",    "TO",       "date",         "Message-ID", "Cc",         "cc",
        "Reply-To",   "List-Id",  "MIME-Version", "References", "X-Anything", "Content-Type",
        "Content-ID", "Received", "Sender ",      "Subject\t"};
    size_t count = pick(14), from = pick(count + 1);

    for (size_t i = 0; i <= count; i++) {
        if (i == from) {
            strbuf_add_text(text, "From: \"Ann\"\r\n <ann@example.com>\r\n");
        } else {
            strbuf_add_text(
                text, names[pick(COUNT_OF(names) - (with_obsolete ? 0 : OBSOLETE_NAMES))]);
            strbuf_add_char(text, ':');
            add_random_value(text, pick(9));
        }
    }
}

static void add_random_body(struct strbuf *text)
{
    static const char *const parts[] = {"\r\n", "\r\n",      " ",        "\t", "  ",
                                        "text", "more text", "\xff\xfe", ".",  "\r\n\r\n"};
    size_t count = pick(5) == 0 ? 0 : pick(50);

    for (size_t i = 0; i < count; i++) {
        if (pick(60) == 0) {
            for (size_t j = 0; j < 3000; j++) {
                strbuf_add_char(text, (char)('A' + pick(26)));
            }
        } else {
            strbuf_add_text(text, parts[pick(COUNT_OF(parts))]);
        }
    }
    strbuf_add_text(text, count != 0 ? "\r\n" : "");
    for (size_t i = pick(3); i != 0; i--) {
        strbuf_add_text(text, "\r\n");
    }
}

static bool is_visible(char octet)
{
    return octet != ' ' && octet != '\t' && octet != '\r' && octet != '\n';
}

/* Octets of a value that are covered: the last four characters of b= hold bits that mean nothing,
 * so they are left alone. */
static size_t covered_length(const struct header_field *field)
{
    size_t end = field->value.len;

    if (bytes_equal(field->name, BYTES("DKIM-Signature")) ||
        bytes_equal(field->name, BYTES("ARC-Message-Signature")) ||
        bytes_equal(field->name, BYTES("ARC-Seal"))) {
        for (size_t left = 4; left != 0;) {
            left -= is_visible(field->value.data[--end]) ? 1 : 0;
        }
    }
    return end;
}

static bool is_named(struct bytes name, const struct bytes *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_equal_nocase(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Another octet in its place, one that stays another one in the relaxed form. */
static void change(struct strbuf *text, size_t at)
{
    text->data[at] = text->data[at] == 'Z' ? 'Y' : 'Z';
}

typedef size_t count_function(const struct world *world, struct bytes text);

static size_t count_arc_passes(const struct world *world, struct bytes text)
{
    return arc_result(world, text) == AUTH_PASS;
}

/* Changes visible octets one at a time: in the value of each field, and in the body. Where fields
 * are signed no signature passes any more; elsewhere all do. */
static void check_changes(const struct world *world, struct strbuf *text,
                          count_function *count_passes, size_t passes, bool is_arc)
{
    static const struct bytes unsigned_names[] = {BYTES("Received"), BYTES("X-Anything")};
    struct message message = split(strbuf_bytes(text));
    struct bytes rest = message.header;
    struct header_field field;

    while (header_field_next(&rest, &field)) {
        bool is_free = is_named(field.name, unsigned_names, COUNT_OF(unsigned_names));
        size_t length = covered_length(&field);
        size_t at = length == 0 ? 0 : pick(length);
        size_t place = (size_t)(field.value.data - text->data) + at;
        char before;
        size_t got;

        if (length == 0 || !is_visible(field.value.data[at])) {
            continue;
        }
        before = text->data[place];
        change(text, place);
        got = count_passes(world, strbuf_bytes(text));
        if (is_free ? got != passes
            : !is_arc && bytes_equal(field.name, BYTES("DKIM-Signature"))
                ? got != passes - 1 /* the other one stands */
                : got != 0) {
            fail_msg("octet %zu of \"" BYTES_FMT "\": %zu pass", at, BYTES_ARG(field.whole),
                     got);
        }
        text->data[place] = before;
    }
    for (int tries = 0; tries < 4 && message.body.len != 0; tries++) {
        size_t place = (size_t)(message.body.data - text->data) + pick(message.body.len);
        char before = text->data[place];

        if (is_visible(before)) {
            change(text, place);
            CHECK_INT("body changed", count_passes(world, strbuf_bytes(text)), 0);
            text->data[place] = before;
        }
    }
}

static void random_messages_verify_until_one_octet_changes(void **state)
{
    const struct world *world = *state;

    srand(8617);
    for (int i = 0; i < 80; i++) {
        size_t dkim_passes = i % 4 == 0 ? 0 : 2;
        struct strbuf text;

        strbuf_init(&text, TEXT_LIMIT);
        add_random_header(&text, dkim_passes == 0);
        strbuf_add_text(&text, "\r\n");
        add_random_body(&text);
        if (dkim_passes != 0) {
            sign_dkim(world, &text);
            if (count_dkim_passes(world, strbuf_bytes(&text)) != dkim_passes) {
                fail_msg("not verified by DKIM: %s", strbuf_text(&text));
            }
            check_changes(world, &text, count_dkim_passes, dkim_passes, false);
        }
        for (size_t sets = 1 + pick(3); sets != 0; sets--) {
            seal_arc(world, &text);
            if (arc_result(world, strbuf_bytes(&text)) != AUTH_PASS) {
                fail_msg("not verified by ARC: %s", strbuf_text(&text));
            }
        }
        check_changes(world, &text, count_arc_passes, 1, true);
        CHECK_INT("DKIM still stands", count_dkim_passes(world, strbuf_bytes(&text)),
                  dkim_passes);
        strbuf_clear(&text);
    }
}

static void fields_that_were_not_there_cannot_be_added(void **state)
{
    static const char *const added[] = {"From: x@example.net\r\n", "Subject: x\r\n",
                                        "To: x\r\n", "Date: x\r\n", "Message-ID: x\r\n"};
    const struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(added); i++) {
        struct strbuf text, changed;

        start_text(&text, BYTES(FROM_TO "\r\n" BODY));
        sign_dkim(world, &text);
        seal_arc(world, &text);
        start_text(&changed, bytes_from_text(added[i]));
        strbuf_add(&changed, strbuf_bytes(&text));
        CHECK_INT(added[i], arc_result(world, strbuf_bytes(&changed)), AUTH_FAIL);
        CHECK_INT(added[i], count_dkim_passes(world, strbuf_bytes(&changed)), 0);
        strbuf_clear(&text);
        strbuf_clear(&changed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dkim_fields_hold_what_they_should),
        cmocka_unit_test(a_set_holds_what_it_should),
        cmocka_unit_test(results_are_stated_as_they_stand),
        cmocka_unit_test(sets_are_added_as_the_table_says),
        cmocka_unit_test(without_an_rsa_key_there_is_no_set),
        cmocka_unit_test(chains_of_ours_pass_up_to_the_limit),
        cmocka_unit_test(a_failed_chain_is_sealed_once_and_alone),
        cmocka_unit_test(many_fields_of_a_name_keep_h_short),
        cmocka_unit_test(random_messages_verify_until_one_octet_changes),
        cmocka_unit_test(fields_that_were_not_there_cannot_be_added),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
