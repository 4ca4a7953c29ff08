#include "../include/petiole_sha256.h"

static const uint32_t constants[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

static uint32_t rotated(uint32_t word, uint8_t by) { return word >> by | word << (32 - by); }

static void take_block(petiole_sha256 *hash) {
  uint32_t words[16];
  uint32_t s[8];
  uint8_t i, j;
  for (i = 0; i < 16; i++) {
    const uint8_t *at = hash->block + 4 * i;
    words[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  }
  for (i = 0; i < 8; i++) s[i] = hash->state[i];
  for (i = 0; i < 64; i++) {
    uint32_t one, two;
    uint32_t *word = &words[i & 15];
    if (i >= 16) {
      uint32_t early = words[(i + 1) & 15];
      uint32_t late = words[(i + 14) & 15];
      *word += (rotated(early, 7) ^ rotated(early, 18) ^ early >> 3) + words[(i + 9) & 15] +
               (rotated(late, 17) ^ rotated(late, 19) ^ late >> 10);
    }
    one = s[7] + (rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) +
          constants[i] + *word;
    two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    for (j = 7; j > 0; j--) s[j] = s[j - 1];
    s[4] += one;
    s[0] = one + two;
  }
  for (i = 0; i < 8; i++) hash->state[i] += s[i];
}

void petiole_sha256_start(petiole_sha256 *hash) {
  static const uint32_t first[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                    0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
  uint8_t i;
  for (i = 0; i < 8; i++) hash->state[i] = first[i];
  hash->length = 0;
}

void petiole_sha256_add(petiole_sha256 *hash, const uint8_t *bytes, size_t length) {
  while (length-- > 0) {
    hash->block[hash->length++ & 63] = *bytes++;
    if ((hash->length & 63) == 0) take_block(hash);
  }
}

void petiole_sha256_end(petiole_sha256 *hash, uint8_t digest[32]) {
  uint32_t bits = hash->length << 3;
  uint8_t byte = 0x80;
  uint8_t tail[8] = {0};
  uint8_t i;
  /* The length has 8 bytes: where fewer are left in this block, the padding goes through the next. */
  do {
    petiole_sha256_add(hash, &byte, 1);
    byte = 0;
  } while ((hash->length & 63) != 56);
  for (i = 0; i < 4; i++) tail[4 + i] = (uint8_t)(bits >> (24 - 8 * i));
  petiole_sha256_add(hash, tail, 8);
  for (i = 0; i < 32; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}
