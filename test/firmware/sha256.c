/*
 * Hashes of all sizes, for comparison with another SHA-256: `sha256 SIZE_MAX`. For each size the bytes are size + 0,
 * size + 7, size + 14 ..., given whole and in pieces of 1, 3, 63, 64 and 65. One line each: SIZE PIECE DIGEST.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../firmware-bridge/include/petiole_sha256.h"

enum { SIZE_MAX_HERE = 1024 };

static const size_t pieces[] = {SIZE_MAX_HERE, 1, 3, 63, 64, 65};

static void print_hash(const uint8_t *bytes, size_t size, size_t piece) {
  petiole_sha256 hash;
  uint8_t digest[32];
  size_t at, i;
  petiole_sha256_start(&hash);
  for (at = 0; at < size; at += piece) petiole_sha256_add(&hash, bytes + at, size - at < piece ? size - at : piece);
  petiole_sha256_end(&hash, digest);
  printf("%zu %zu ", size, piece);
  for (i = 0; i < sizeof digest; i++) printf("%02x", digest[i]);
  printf("\n");
}

int main(int count, char **words) {
  uint8_t bytes[SIZE_MAX_HERE];
  size_t size_max = count == 2 ? (size_t)atoi(words[1]) : SIZE_MAX_HERE + 1;
  size_t size, i;
  if (size_max > SIZE_MAX_HERE) return 2;
  for (size = 0; size <= size_max; size++) {
    for (i = 0; i < size; i++) bytes[i] = (uint8_t)(size + 7 * i);
    for (i = 0; i < sizeof pieces / sizeof *pieces; i++) print_hash(bytes, size, pieces[i]);
  }
  return 0;
}
