#include "support/check.h"

#include "forward/blocked_file.h"

#include <stdlib.h>

static const struct bytes ENDINGS[] = {
    {"exe", 3}, {"com", 3}, {"tar.gz", 6}, {"xl?m", 4}, {"{*}", 3},
};
static const struct file_patterns EXTENSIONS = {ENDINGS, COUNT_OF(ENDINGS)};

#define ROW(name, text, want)                                                                  \
    {                                                                                          \
        name, {text, sizeof(text) - 1}, want                                                   \
    }

static const struct {
    const char *name;
    struct bytes file;
    bool want;
} FILES[] = {
    ROW("plain", "evil.exe", true),
    ROW("other case", "EVIL.ExE", true),
    ROW("nothing in front of the dot", ".exe", true),
    ROW("double extension", "invoice.pdf.exe", true),
    ROW("extension of two parts", "a.b.tar.gz", true),
    ROW("question mark", "sheet.xlsm", true),
    ROW("class id as extension", "a.{645FF040-5081-101B-9F08-00AA002F954E}", true),
    ROW("in a folder", "dir/sub\\evil.exe", true),
    ROW("dot behind", "evil.exe.", true),
    ROW("dots and blanks behind", "evil.exe. . ..", true),
    ROW("slash behind", "evil.exe/", true),
    ROW("quotes around", "'evil.exe'", true),
    ROW("double quotes around", "\"evil.exe\"", true),
    ROW("stream", "evil.exe::$DATA", true),
    ROW("named stream", "evil.exe:a.txt", true),
    ROW("drive", "C:evil.exe", true),
    ROW("NUL and another extension", "evil.exe\0.txt", true),
    ROW("NUL within the extension", "evil.e\0xe", true),
    ROW("UTF-16 read octet by octet", "e\0v\0.\0e\0x\0e\0", true),
    ROW("control within the extension",
        "evil.e\x01x\x7f"
        "e",
        true),
    ROW("line end within the extension", "evil.e\r\nxe", true),
    ROW("right-to-left override",
        "evil\xe2\x80\xae"
        "fdp.exe",
        true),
    ROW("override within the extension", "evil.e\xe2\x80\xaexe", true),
    ROW("invisible blank behind", "evil.exe\xe2\x80\x8b", true),
    ROW("byte order mark within",
        "evil.\xef\xbb\xbf"
        "exe",
        true),
    ROW("soft hyphen within", "evil.e\xc2\xadxe", true),
    ROW("no-break blank behind", "evil.exe\xc2\xa0", true),
    ROW("ISO 2022 escape within", "evil.e\x1b(Bxe", true),
    ROW("what no file name may have", "evil.e<x>e?", true),
    ROW("letters beyond ASCII in front", "b\xc3\xb6se.exe", true),
    ROW("a text", "evil.txt", false),
    ROW("extension in the middle", "evil.exe.txt", false),
    ROW("extension without a dot", "exe", false),
    ROW("longer extension", "evil.exec", false),
    ROW("shorter extension", "evil.ex", false),
    ROW("a folder that looks like one", "example.com/index.html", false),
    ROW("only one part of two", "a.gz", false),
    ROW("letters beyond ASCII in the extension", "evil.ex\xc3\xa9", false),
    ROW("empty", "", false),
};

static void endings_are_seen_as_the_opening_system_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(FILES); i++) {
        CHECK_INT(FILES[i].name, blocked_file_name(&EXTENSIONS, FILES[i].file), FILES[i].want);
    }
}

static struct bytes long_name(char *out, const char *front, size_t fill, const char *back)
{
    size_t length = strlen(front);

    memcpy(out, front, length);
    memset(out + length, ' ', fill);
    memcpy(out + length + fill, back, strlen(back));
    return bytes_of(out, length + fill + strlen(back));
}

static void long_names_count_wherever_they_may_be_cut(void **state)
{
    char octets[3000];

    (void)state;
    CHECK_TRUE("cut behind blanks",
               blocked_file_name(&EXTENSIONS, long_name(octets, "evil.exe", 300, ".txt")));
    CHECK_TRUE("cut within blanks of a very long one",
               blocked_file_name(&EXTENSIONS, long_name(octets, "evil.exe", 2000, ".txt")));
    CHECK_TRUE("at the end of a very long one",
               blocked_file_name(&EXTENSIONS, long_name(octets, "a.txt", 2000, "evil.exe")));
    CHECK_TRUE("short enough for everybody",
               !blocked_file_name(&EXTENSIONS, long_name(octets, "evil.exe", 30, ".txt")));
}

static void types_match_whole(void **state)
{
    static const struct bytes TYPES[] = {
        {"application/x-ms*", 17}, {"video/*", 7}, {"a/*b*c", 6}};
    static const struct file_patterns PATTERNS = {TYPES, COUNT_OF(TYPES)};
    static const struct {
        struct bytes type;
        bool want;
    } CASES[] = {
        {{"application/x-msdownload", 24}, true},
        {{"video/mp4", 9}, true},
        {{"Video/MP4", 9}, true},
        {{"a/xbxbxc", 8}, true},
        {{"a/xbxbxcx", 9}, false},
        {{"application/pdf", 15}, false},
        {{"xvideo/mp4", 10}, false},
        {{"", 0}, false},
    };
    static const struct file_patterns NONE = {NULL, 0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        CHECK_INT(CASES[i].type.data, blocked_file_type(&PATTERNS, CASES[i].type),
                  CASES[i].want);
        CHECK_TRUE("no list", !blocked_file_type(&NONE, CASES[i].type));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings_are_seen_as_the_opening_system_does),
        cmocka_unit_test(long_names_count_wherever_they_may_be_cut),
        cmocka_unit_test(types_match_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
