/* Names of interfaces, as both ends of orders check and find them. */
#include "dataplane/order.h"

#include <ctype.h>
#include <string.h>

size_t interface_find(const InterfaceNames *interfaces, const char *name)
{
    size_t i = 0;
    while (i < interfaces->n && strcmp(interfaces->names[i], name) != 0)
        i++;
    return i;
}

bool interface_name_is_valid(Bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t octet = name.data[i];
        if (!isgraph(octet) || octet == '/' || octet == ':' || octet == '%')
            return false;
    }
    return name.size > 0 && name.size < IFNAMSIZ && name.data[0] != '.';
}
