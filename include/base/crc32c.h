/*
 * crc32c - checksum of stored records (Castagnoli polynomial, RFC 3720 §12.1).
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/bytes.h"

/* Start with 0; feed the result back in to go on over the next part. */
uint32_t crc32c(uint32_t before, struct bytes octets);

#endif
