/* SHA-256 [FIPS 180-4], for boards whose boot loader brings none: what VERIFY of a firmware image compares. */
#ifndef PETIOLE_SHA256_H
#define PETIOLE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t state[8];
  uint32_t length; /* bytes so far: images are below 512 MiB */
  uint8_t block[64];
} petiole_sha256;

void petiole_sha256_start(petiole_sha256 *hash);
void petiole_sha256_add(petiole_sha256 *hash, const uint8_t *bytes, size_t length);
void petiole_sha256_end(petiole_sha256 *hash, uint8_t digest[32]);

#ifdef __cplusplus
}
#endif

#endif
