/* Builds the text of a reason, and cuts it between two characters where it is too long. */
#include "base/reason.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char mark[] = "...";

/* RFC 3629 3: the octets of a character after its first begin with the bits 10. */
static int is_inside(char octet)
{
    return ((uint8_t)octet & 0xc0U) == 0x80;
}

int reason_set_v(Reason *reason, int r, const char *format, va_list arguments)
{
    if (!reason)
        return r;

    char text[REASON_SIZE];
    int size = vsnprintf(text, sizeof(text), format, arguments);
    if (size < 0)
        text[0] = '\0';
    if (size >= REASON_SIZE) {
        size_t end = REASON_SIZE - sizeof(mark);
        while (end > 0 && is_inside(text[end]))
            end--;
        memcpy(text + end, mark, sizeof(mark));
    }
    memcpy(reason->text, text, strlen(text) + 1);
    return r;
}

int reason_set(Reason *reason, int r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    reason_set_v(reason, r, format, arguments);
    va_end(arguments);
    return r;
}
