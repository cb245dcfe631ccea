/*
 * Any octets as an alias file. Properties: every problem lies inside the text; every good exact line is
 * found under its name in any case, unless that name came before; every match is a view of the text;
 * look-ups of a checked table end in bounded work.
 */
#include "forward/alias_check.h"
#include "forward/recipient_route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

struct run {
    struct bytes text;
    size_t errors;
};

static void on_problem(void *context, const struct alias_problem *problem)
{
    struct run *run = context;

    require(problem->message != NULL && problem->domain < 2);
    if (problem->has_place && problem->place.source == 1) {
        require(problem->place.offset + problem->place.len <= run->text.len);
    }
    if (problem->has_first && problem->first.source == 1) {
        require(problem->first.offset + problem->first.len <= run->text.len);
    }
    run->errors += !problem->is_warning;
}

static bool is_inside(struct bytes part, struct bytes whole)
{
    return part.len == 0 ||
           (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_line(const struct alias_table *table, struct bytes text, struct bytes octets,
                       bool is_good)
{
    struct alias_line line;
    struct alias_line_error error;
    struct alias_match match;
    char name[ALIAS_LOCAL_LIMIT];
    size_t len;

    if (octets.len > 0 && octets.data[octets.len - 1] == '\r') {
        octets.len--;
    }
    if (alias_line_split(octets, &line, &error) == ALIAS_LINE_WRONG) {
        require(!is_good && is_inside(error.where, text));
    } else if (is_good && line.name.len > 0 && line.kind == ALIAS_NAME_EXACT) {
        require(alias_line_decode_name(&line, name, &len));
        for (size_t i = 0; i < len; i++) {
            name[i] = (char)ascii_lower((unsigned char)name[i]);
        }
        require(alias_table_find_exact(table, 0, bytes_of(name, len), &match));
        require(is_inside(match.line.name, text) && is_inside(match.line.targets, text));
        require(match.entry < alias_table_entry_limit(table, 0));
    }
}

static void check_routes(const struct alias_table *table, struct bytes text, bool is_good)
{
    struct route_options options = {.aliases = table, .srs_domain = BYTES("srs.test")};
    struct smtp_mailbox sender = {.is_literal = false};
    struct bytes rest = text;

    for (int i = 0; i < 20 && rest.len > 0; i++) {
        struct bytes line = bytes_cut(&rest, '\n');
        struct smtp_mailbox recipient = {.local = bytes_first(bytes_cut(&line, ':'), 64),
                                         .domain = BYTES("own.test")};
        struct arena *arena = arena_new();
        struct recipient_route route;
        recipient_route_find(&options, 1, &sender, &recipient, NULL, arena, &route);
        require(route.target_count <= ALIAS_TARGETS_LIMIT || !is_good);
        require((route.kind == ROUTE_FORWARD) == (route.target_count > 0));
        arena_free(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.text = bytes_of(data, size)};
    struct alias_report report = {on_problem, &run};
    struct alias_table *table = alias_table_new((struct siphash_key){{5, 6}});
    struct bytes rest = run.text;
    bool is_good;

    alias_table_add_domain(table, BYTES("own.test"), BYTES(""));
    alias_table_add_domain(table, BYTES("b.test"), BYTES(""));
    alias_table_add_text(table, 1, 0, BYTES("*: *@own.test\nx: y@own.test\n"), &report);
    alias_table_add_text(table, 0, 1, run.text, &report);
    is_good = run.errors == 0;
    while (rest.len > 0) {
        check_line(table, run.text, bytes_cut(&rest, '\n'), is_good);
    }
    alias_check(table, &report);
    check_routes(table, run.text, run.errors == 0);
    alias_table_free(&table);
    return 0;
}
