/* Which device comes next? */
#include "provisioning/lineinput.h"

#include "base/fqdn.h"
#include "provisioning/profile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r';
}

/* White space, with at most one comma in it. */
static void separator_skip(Bytes *rest)
{
    bool comma = false;

    while (rest->size > 0 && (is_blank(rest->data[0]) || (!comma && rest->data[0] == ','))) {
        comma = comma || rest->data[0] == ',';
        *rest = bytes_slice(*rest, 1, rest->size);
    }
}

/* Takes the next word, up to white space or a comma, into `ret` of `size` octets. False if it does
 * not fit. */
static bool word_take(Bytes *rest, char *ret, size_t size)
{
    size_t length = 0;

    while (length < rest->size && !is_blank(rest->data[length]) && rest->data[length] != ',')
        length++;
    if (length >= size)
        return false;
    if (length > 0) /* of nothing, there may be no address */
        memcpy(ret, rest->data, length);
    ret[length] = '\0';
    *rest = bytes_slice(*rest, length, rest->size);
    return true;
}

/* What is left, without blanks at its end. */
static bool rest_take(Bytes rest, char *ret, size_t size)
{
    while (rest.size > 0 && is_blank(rest.data[rest.size - 1]))
        rest.size--;
    if (rest.size >= size)
        return false;
    if (rest.size > 0)
        memcpy(ret, rest.data, rest.size);
    ret[rest.size] = '\0';
    return true;
}

/* Printable ASCII only: what is here goes into messages, paths and JSON. */
static bool is_printable(Bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] != '\t' && bytes.data[i] != '\r' &&
            (bytes.data[i] < ' ' || bytes.data[i] > '~'))
            return false;
    }
    return true;
}

int device_line_parse(Bytes line, DeviceLine *ret, Reason *reason)
{
    Bytes rest = line;

    while (rest.size > 0 && is_blank(rest.data[0]))
        rest = bytes_slice(rest, 1, rest.size);
    if (rest.size == 0 || rest.data[0] == '#')
        return 0;
    if (!is_printable(rest))
        return reason_set(reason, -EINVAL, "it has octets that are not printable ASCII");
    if (!word_take(&rest, ret->serial, sizeof(ret->serial)) || !serial_is_valid(ret->serial)) {
        return reason_set(reason, -EINVAL,
                          "the serial number is not 1 to 63 letters, digits, '.', '-' and '_', "
                          "a letter or digit first");
    }
    separator_skip(&rest);
    if (!word_take(&rest, ret->fqdn, sizeof(ret->fqdn)) ||
        !fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return reason_set(reason, -EINVAL, "what follows the serial number is not an FQDN");
    separator_skip(&rest);
    if (!rest_take(rest, ret->tcti, sizeof(ret->tcti)))
        return reason_set(reason, -EINVAL, "the TCTI is longer than 255 octets");
    if (ret->tcti[0] == '\0')
        return reason_set(reason, -EINVAL, "there is no TCTI after the FQDN");
    return 1;
}

int line_reader_fill(LineReader *reader)
{
    ssize_t n;

    if (reader->size == sizeof(reader->data)) {
        reader->too_long = true;
        reader->size = 0;
    }
    do {
        n = read(reader->fd, reader->data + reader->size, sizeof(reader->data) - reader->size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    reader->size += (size_t)n;
    reader->ended = n == 0;
    return 0;
}

/* Forgets the first `size` octets. */
static void reader_drop(LineReader *reader, size_t size)
{
    reader->size -= size;
    memmove(reader->data, reader->data + size, reader->size);
}

int line_reader_next(LineReader *reader, DeviceLine *ret, Reason *reason)
{
    for (;;) {
        const uint8_t *end = memchr(reader->data, '\n', reader->size);
        const size_t size = end ? (size_t)(end - reader->data) : reader->size;
        const bool too_long = reader->too_long;
        int r;

        if (!end && !(reader->ended && (size > 0 || too_long)))
            return 0;
        reader->too_long = false;
        ret->number = ++reader->number;
        r = too_long ? reason_set(reason, -EINVAL, "it is longer than a line can be")
                     : device_line_parse((Bytes){reader->data, size}, ret, reason);
        reader_drop(reader, end ? size + 1 : size);
        if (r != 0)
            return r;
    }
}
