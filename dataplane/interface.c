/* Names of interfaces, as both ends of orders check them. */
#include "dataplane/order.h"

#include <ctype.h>

bool interface_name_is_valid(Bytes name)
{
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t octet = name.data[i];
        if (!isgraph(octet) || octet == '/' || octet == ':' || octet == '%')
            return false;
    }
    return name.size > 0 && name.size < IFNAMSIZ && name.data[0] != '.';
}
