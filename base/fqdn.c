/* Judges whether a text can be the name of a host. */
#include "base/fqdn.h"

enum { NAME_MAX_SIZE = 253, LABEL_MAX_SIZE = 63 };

/* Not isalnum(): what is a letter must not depend on the locale. */
static bool is_label_octet(char octet)
{
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
           (octet >= '0' && octet <= '9') || octet == '-';
}

/* The size of the label at the front of `name`; 0 if there is none. */
static size_t label_size(const char *name, size_t size)
{
    size_t label = 0;

    while (label < size && is_label_octet(name[label]))
        label++;
    if (label == 0 || label > LABEL_MAX_SIZE || name[0] == '-' || name[label - 1] == '-')
        return 0;
    return label;
}

/* RFC 1123 2.1: a name never has the form of an address, since its last label is not numeric. */
static bool is_numeric(const char *label, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (label[i] < '0' || label[i] > '9')
            return false;
    }
    return true;
}

bool fqdn_is_valid(const char *name, size_t size)
{
    if (size > NAME_MAX_SIZE)
        return false;

    for (;;) {
        size_t label = label_size(name, size);
        if (label == 0)
            return false;
        if (label == size)
            return !is_numeric(name, label);
        if (name[label] != '.')
            return false;
        name += label + 1;
        size -= label + 1;
    }
}
