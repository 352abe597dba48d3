/* What order_encode.c and order_decode.c share, and nobody else. */
#pragma once

#include "dataplane/order.h"

enum {                        /* an outer address */
       ORDER_FAMILY_NONE = 0, /* not known */
       ORDER_FAMILY_IPV4 = 4,
       ORDER_FAMILY_IPV6 = 6,
};
