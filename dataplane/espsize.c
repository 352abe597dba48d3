/* Sizes of ESP packets, from the suite's table alone. */
#include "dataplane/espsize.h"

enum { TRAILER_ALIGNMENT = 4 }; /* RFC 4303 2.4: Next Header ends on a 4-octet boundary */

size_t esp_alignment(const Cipher *cipher)
{
    return cipher->block_size > TRAILER_ALIGNMENT ? cipher->block_size : TRAILER_ALIGNMENT;
}

size_t esp_icv_size(const EspSuite *suite)
{
    return suite->integ ? suite->integ->icv_size : suite->cipher->icv_size;
}

size_t esp_body_size(const EspSuite *suite, size_t inner_size)
{
    size_t alignment = esp_alignment(suite->cipher);
    return (inner_size + ESP_TRAILER_SIZE + alignment - 1) / alignment * alignment;
}

size_t esp_packet_size(const EspSuite *suite, size_t inner_size)
{
    return ESP_HEADER_SIZE + suite->cipher->iv_size + esp_body_size(suite, inner_size) +
           esp_icv_size(suite);
}

size_t esp_inner_max(const EspSuite *suite, size_t room)
{
    size_t alignment = esp_alignment(suite->cipher);
    size_t fixed = esp_packet_size(suite, 0) - alignment;
    if (room < fixed)
        return 0;
    size_t body = (room - fixed) / alignment * alignment;
    return body > ESP_TRAILER_SIZE ? body - ESP_TRAILER_SIZE : 0;
}
