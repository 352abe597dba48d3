/* The names of DSCPs, and lists of them. */
#include "base/dscp.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* IANA, Differentiated Services Field Codepoints: RFC 2474 4.2.2 (class selectors), 2597 6 (assured
 * forwarding), 3246 (expedited forwarding), 5865 2.3 (voice-admit), 8622 (lower effort). */
static const struct {
    const char *name;
    unsigned dscp;
} names[] = {
    {"CS0", 0},   {"CS1", 8},   {"CS2", 16},  {"CS3", 24},  {"CS4", 32},         {"CS5", 40},
    {"CS6", 48},  {"CS7", 56},  {"AF11", 10}, {"AF12", 12}, {"AF13", 14},        {"AF21", 18},
    {"AF22", 20}, {"AF23", 22}, {"AF31", 26}, {"AF32", 28}, {"AF33", 30},        {"AF41", 34},
    {"AF42", 36}, {"AF43", 38}, {"EF", 46},   {"LE", 1},    {"VOICE-ADMIT", 44},
};

enum { WORD_SIZE = 16 };

static int number_parse(const char *word, unsigned *ret)
{
    char *end = NULL;
    const unsigned long number = strtoul(word, &end, 10);

    if (*word < '0' || *word > '9' || *end || number >= DSCP_COUNT)
        return -EINVAL;
    *ret = (unsigned)number;
    return 0;
}

static int word_parse(const char *word, unsigned *ret)
{
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strcasecmp(word, names[i].name) != 0)
            continue;
        *ret = names[i].dscp;
        return 0;
    }
    return number_parse(word, ret);
}

int dscps_parse(const char *text, uint64_t *ret)
{
    uint64_t dscps = 0;

    for (;;) {
        char word[WORD_SIZE];
        unsigned dscp = 0;
        text += strspn(text, " \t");
        size_t size = strcspn(text, ", \t");
        if (size >= sizeof(word))
            return -EINVAL;
        memcpy(word, text, size);
        word[size] = 0;
        if (word_parse(word, &dscp) < 0)
            return -EINVAL;
        dscps |= UINT64_C(1) << dscp;
        text += size;
        text += strspn(text, " \t");
        if (*text == 0)
            break;
        if (*text++ != ',')
            return -EINVAL;
    }
    *ret = dscps;
    return 0;
}

static const char *name_of(unsigned dscp)
{
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (names[i].dscp == dscp)
            return names[i].name;
    }
    return NULL;
}

const char *dscps_text(uint64_t dscps, char *text)
{
    size_t used = 0;

    *text = 0;
    for (unsigned dscp = 0; dscp < DSCP_COUNT; dscp++) {
        const char *name = name_of(dscp);
        char *at = text + used;
        const size_t left = DSCPS_TEXT_SIZE - used;
        const char *comma = used > 0 ? ", " : "";
        if ((dscps >> dscp & 1) == 0)
            continue;
        int n = name ? snprintf(at, left, "%s%s", comma, name)
                     : snprintf(at, left, "%s%u", comma, dscp);
        used += n > 0 && (size_t)n < left ? (size_t)n : 0;
    }
    return text;
}
