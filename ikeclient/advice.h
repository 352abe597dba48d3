/* Error notifies in words: what the SeGW says, and what a person can do about it. */
#pragma once

#include <stdint.h>

/* A static sentence without a full stop at its end. */
const char *advice_for(uint16_t notify_type);
