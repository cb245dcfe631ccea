#include "support/check.h"

#include "mail/page_chart.h"

#include <stdlib.h>

enum { TEXT_LIMIT = 4 << 20 };

static void test_numbers(void **state)
{
    static const struct {
        uint64_t number;
        const char *want;
    } cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {100000, "100,000"},
        {1234567, "1,234,567"},
        {UINT64_MAX, "18,446,744,073,709,551,615"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct strbuf out;
        strbuf_init(&out, 100);
        page_chart_add_number(&out, cases[i].number);
        CHECK_TEXT("number", strbuf_text(&out), cases[i].want);
        strbuf_clear(&out);
    }
}

static void test_tops(void **state)
{
    static const uint64_t cases[][2] = {{0, 2},
                                        {1, 2},
                                        {2, 2},
                                        {3, 4},
                                        {9, 10},
                                        {10, 10},
                                        {11, 20},
                                        {99, 100},
                                        {101, 200},
                                        {700, 800},
                                        {801, 1000},
                                        {1001, 2000},
                                        {UINT64_MAX, UINT64_MAX}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT("top", page_chart_top(cases[i][0]), cases[i][1]);
    }
}

/* The numbers of a path "M1 500h8v500h-8z...": each box has to lie within the view. */
static void check_path(const char *path, long width)
{
    while (*path == 'M') {
        char *end;
        long x = strtol(path + 1, &end, 10);
        long y = strtol(end, &end, 10);
        assert_true(*end == 'h');
        long box_width = strtol(end + 1, &end, 10);
        assert_true(*end == 'v');
        long height = strtol(end + 1, &end, 10);
        assert_true(x >= 0 && x + box_width <= width && box_width > 0);
        assert_true(y >= 0 && height > 0 && y + height <= CHART_HEIGHT);
        path = strchr(end, 'z') + 1;
    }
    assert_true(*path == '"');
}

static void check_drawing(const struct chart *chart)
{
    size_t shown = chart->count < CHART_COLUMNS ? chart->count : CHART_COLUMNS;
    struct strbuf out;

    strbuf_init(&out, TEXT_LIMIT);
    page_chart_add_columns(&out, chart);
    assert_false(out.overflowed);
    assert_null(strstr(strbuf_text(&out), "nan"));
    for (const char *at = strbuf_text(&out); (at = strstr(at, "\" d=\"M")) != NULL; at++) {
        if (strncmp(at, "\" d=\"M0 1H", 10) != 0) {
            check_path(at + 5, (long)shown * CHART_STEP);
        }
    }
    strbuf_clear(&out);
}

/* Any numbers, the largest there are included: what is drawn stays in its box. */
static void test_everything_lies_within_the_box(void **state)
{
    static const uint64_t sizes[] = {1, 2, 10, 1000, UINT64_C(1) << 40, UINT64_MAX};
    static uint64_t values[CHART_SERIES + 1][CHART_COLUMNS + 20];
    struct chart_series series[CHART_SERIES + 1];
    unsigned seed = 1;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        struct chart chart = {.title = "t", .series = series, .start_ms = 1, .step_ms = 60000};
        uint64_t size = sizes[round % COUNT_OF(sizes)];
        chart.series_count = 1 + round % (CHART_SERIES + 1);
        chart.count = round % (CHART_COLUMNS + 20);
        for (size_t i = 0; i < chart.series_count; i++) {
            series[i] =
                (struct chart_series){"s", (enum chart_tone)(i % (TONE_NONE + 1)), values[i]};
            for (size_t j = 0; j < chart.count; j++) {
                seed = seed * 1103515245u + 12345u;
                values[i][j] = seed >> 20 & 1 ? 0 : size - seed % (size > 7 ? 7 : size);
            }
        }
        check_drawing(&chart);
    }
}

static void test_columns(void **state)
{
    static const uint64_t sent[] = {10, 0, 5}, failed[] = {10, 0, 1};
    static const struct chart_series series[] = {{"sent", TONE_GOOD, sent},
                                                 {"<failed>", TONE_BAD, failed}};
    const struct chart chart = {.title = "Mail",
                                .series = series,
                                .series_count = 2,
                                .count = 3,
                                .start_ms = INT64_C(1795298400000),
                                .step_ms = 3600000};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    page_chart_add_columns(&out, &chart);
    CHECK_TEXT(
        "columns", strbuf_text(&out),
        "<figure class=\"chart\"><figcaption><h3>Mail</h3><ul class=\"legend\"><li "
        "class=\"good\">sent <b>15</b></li>"
        "<li class=\"bad\">&lt;failed&gt; <b>11</b></li></ul></figcaption><div class=\"plot\">"
        "<svg viewBox=\"0 0 30 1000\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-label=\"Mail, at most 20 in a column\">"
        "<path class=\"grid\" d=\"M0 1H30M0 500H30M0 999H30\"/>"
        "<path class=\"good\" d=\"M1 500h8v500h-8zM21 750h8v250h-8z\"/>"
        "<path class=\"bad\" d=\"M1 0h8v500h-8zM21 700h8v50h-8z\"/>"
        "<g class=\"tip\"><rect x=\"0\" width=\"10\" height=\"1000\"><title>Sat 21 22:00: sent "
        "10, &lt;failed&gt; 10</title></rect>"
        "<rect x=\"10\" width=\"10\" height=\"1000\"><title>Sat 21 23:00: sent 0, "
        "&lt;failed&gt; 0</title></rect>"
        "<rect x=\"20\" width=\"10\" height=\"1000\"><title>Sun 22 00:00: sent 5, "
        "&lt;failed&gt; 1</title></rect></g></svg>"
        "<div class=\"y\"><span>20</span><span>10</span><span>0</span></div>"
        "<div "
        "class=\"x\"><span>22:00</span><span>22:45</span><span>23:30</span><span>00:15</"
        "span><span>now</span></div>"
        "</div></figure>");
    strbuf_clear(&out);
}

static void test_what_is_not_known(void **state)
{
    static const uint64_t values[] = {0, 7, 0, 0};
    static const bool unknown[] = {true, false, true, true}, all[] = {true, true, true, true};
    const struct chart_series series[] = {{"sent", TONE_GOOD, values}};
    struct chart chart = {.title = "Mail",
                          .series = series,
                          .series_count = 1,
                          .count = 4,
                          .is_unknown = unknown,
                          .is_gauge = true,
                          .step_ms = 60000};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    page_chart_add_columns(&out, &chart);
    assert_non_null(strstr(strbuf_text(&out),
                           "<rect class=\"gap\" x=\"0\" width=\"10\" height=\"1000\"/>"
                           "<rect class=\"gap\" x=\"20\" width=\"20\" height=\"1000\"/>"));
    assert_non_null(
        strstr(strbuf_text(&out), "sent <b>7</b></li><li class=\"gap\">not known</li>"));
    assert_non_null(strstr(strbuf_text(&out), "00:00: not known</title>"));
    chart.is_unknown = all;
    strbuf_reset(&out);
    page_chart_add_columns(&out, &chart);
    assert_non_null(strstr(strbuf_text(&out), "nothing is known of this time yet"));
    assert_null(strstr(strbuf_text(&out), "<svg"));
    strbuf_clear(&out);
}

static void test_nothing_to_draw(void **state)
{
    static const uint64_t zeros[] = {0, 0};
    const struct chart_series series[] = {{"sent", TONE_GOOD, zeros}};
    struct chart chart = {
        .title = "Mail", .series = series, .series_count = 1, .count = 2, .step_ms = 1};

    (void)state;
    check_drawing(&chart);
    chart.count = 0;
    check_drawing(&chart);
    chart.series_count = 0;
    check_drawing(&chart);
}

static void test_shares(void **state)
{
    static const struct chart_part parts[] = {
        {"pass", TONE_GOOD, 9989}, {"none", TONE_NONE, 0}, {"fail", TONE_BAD, 1}};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    page_chart_add_shares(&out, "SPF", parts, COUNT_OF(parts));
    CHECK_TEXT(
        "shares", strbuf_text(&out),
        "<div class=\"shares\"><h3>SPF</h3><svg class=\"bar\" viewBox=\"0 0 1000 10\" "
        "preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\"><rect class=\"rest\" width=\"1000\" height=\"10\"/><rect "
        "class=\"good\" x=\"0\" "
        "width=\"999\" height=\"10\"/><rect class=\"bad\" x=\"999\" width=\"1\" "
        "height=\"10\"/></svg>"
        "<ul class=\"legend\"><li class=\"good\">pass <b>9,989</b> <i>99.9&#8239;%</i></li>"
        "<li class=\"bad\">fail <b>1</b> <i>&lt;0.1&#8239;%</i></li></ul></div>");
    strbuf_reset(&out);
    page_chart_add_shares(&out, "SPF", parts + 1, 1);
    assert_non_null(strstr(strbuf_text(&out), "nothing yet"));
    strbuf_clear(&out);
}

static void test_ranking_escapes(void **state)
{
    static const struct chart_rank ranks[] = {
        {BYTES("unknown-recipient"), BYTES("<b>\"x\"</b>"), 30}, {BYTES("<i>"), BYTES(""), 0}};
    struct strbuf out;

    (void)state;
    strbuf_init(&out, TEXT_LIMIT);
    page_chart_add_ranking(&out, ranks, COUNT_OF(ranks));
    CHECK_TEXT(
        "ranking", strbuf_text(&out),
        "<ol class=\"ranking\"><li><span class=\"name\">unknown-recipient</span><b>30</b>"
        "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\">"
        "<rect class=\"fill\" width=\"1000\" height=\"10\"/></svg>"
        "<small>&lt;b&gt;&quot;x&quot;&lt;/b&gt;</small></li><li><span "
        "class=\"name\">&lt;i&gt;</span><b>0</b>"
        "<svg class=\"bar\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\">"
        "<rect class=\"fill\" width=\"0\" height=\"10\"/></svg></li></ol>");
    strbuf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_tops),
        cmocka_unit_test(test_everything_lies_within_the_box),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_what_is_not_known),
        cmocka_unit_test(test_nothing_to_draw),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_ranking_escapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
