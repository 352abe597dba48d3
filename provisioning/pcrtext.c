/* Which values did somebody note down? */
#include "provisioning/pcrtext.h"

#include "policy/encoding.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE = 160 };

__attribute__((format(printf, 4, 5))) static int refuse(Reason *reason, const char *name,
                                                        size_t line, const char *format, ...)
{
    Reason what;
    va_list arguments;

    va_start(arguments, format);
    reason_set_v(&what, 0, format, arguments);
    va_end(arguments);
    return reason_set(reason, -EINVAL, "%.200s, line %zu: %s", name, line, what.text);
}

/* The next line without its end and the white space around it; false at the end of the text. */
static bool line_next(Reader *reader, char *ret)
{
    size_t size = 0;
    uint8_t octet;

    if (reader_left(reader) == 0)
        return false;
    while (reader_u8(reader, &octet) == 0 && octet != '\n') {
        if (size < LINE_SIZE - 1 && (size > 0 || !isspace(octet)))
            ret[size++] = (char)octet;
    }
    while (size > 0 && isspace((unsigned char)ret[size - 1]))
        size--;
    ret[size] = '\0';
    return true;
}

/* "sha256:" */
static int bank_take(char *line, PcrState *state)
{
    line[strlen(line) - 1] = '\0';
    if (state->bank != 0)
        return -EEXIST;
    return pcr_bank_from_name(line, &state->bank);
}

/* "7 : 0x…", or "7 = …" */
static int value_take(const char *line, PcrState *state)
{
    char number[8] = "", separator = 0, value[2 * PCR_VALUE_MAX + 3] = "";
    const char *digits = value;
    uint32_t mask = 0;
    unsigned pcr;

    if (sscanf(line, "%7[0-9] %c %98s", number, &separator, value) != 3 ||
        (separator != ':' && separator != '=') || pcr_mask_parse(number, &mask) < 0)
        return -EINVAL;
    pcr = (unsigned)__builtin_ctz(mask);
    if (strncasecmp(digits, "0x", 2) == 0)
        digits += 2;
    if (state->mask & mask ||
        hex_decode(digits, state->values[pcr], pcr_value_size(state->bank)) < 0)
        return -EINVAL;
    state->mask |= mask;
    return 0;
}

int pcr_text_parse(Bytes text, const char *name, PcrState *ret, Reason *reason)
{
    PcrState state = {0};
    char line[LINE_SIZE];
    size_t number = 0;
    Reader reader;

    reader_init(&reader, text);
    while (line_next(&reader, line)) {
        number++;
        if (line[0] == '\0' || line[0] == '#')
            continue;
        if (line[strlen(line) - 1] == ':') {
            int r = bank_take(line, &state);

            if (r == -EEXIST)
                return refuse(reason, name, number, "a second bank; a policy looks at one");
            if (r < 0)
                return refuse(reason, name, number, "'%.20s' is not sha256 or sha384", line);
        } else if (state.bank == 0) {
            return refuse(reason, name, number, "a bank, 'sha256:' or 'sha384:', comes first");
        } else if (value_take(line, &state) < 0) {
            return refuse(reason, name, number,
                          "'%.40s' is not a PCR from 0 to 23 that was not named before, and its "
                          "value in hexadecimal, as in '7 : 0x...'",
                          line);
        }
    }
    if (state.mask == 0)
        return refuse(reason, name, number, "there is no value in it");
    *ret = state;
    return 0;
}
