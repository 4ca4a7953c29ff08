/* Holds the C library to the golden vectors: `vectors FILE`. Built once for each check. */
#include <stdio.h>
#include <stdlib.h>

#include "../../firmware-bridge/include/petiole_sha256.h"
#include "../../firmware-bridge/src/petiole_internal.h"

#define CHECK_NAME (PETIOLE_CRC16 ? "16" : "32")
enum { BYTES_MAX = 2048, FIELDS_MAX = 24 };

static int failures, checked;

static uint16_t bytes_of(const char *hex, uint8_t *to) {
  uint16_t length = 0;
  unsigned byte;
  if (hex[0] == '-') return 0;
  for (; sscanf(hex, "%2x", &byte) == 1; hex += 2) to[length++] = (uint8_t)byte;
  return length;
}

static void expect(int is_true, const char *kind, const char *name) {
  checked++;
  if (is_true) return;
  failures++;
  printf("not as in the vectors: %s %s\n", kind, name);
}

static int is_same(const uint8_t *a, uint16_t length, const uint8_t *b, uint16_t wanted) {
  return length == wanted && memcmp(a, b, length) == 0;
}

/* The result of the last byte. */
static uint8_t feed(petiole_receiver *receiver, const uint8_t *bytes, uint16_t length) {
  uint8_t result = FRAME_NONE;
  uint16_t i;
  for (i = 0; i < length; i++) result = petiole_frame_byte(receiver, bytes[i]);
  return result;
}

static petiole_sender *empty_sender(void) {
  static petiole_sender sender;
  static uint8_t line[PETIOLE_LINE_BYTES];
  memset(&sender, 0, sizeof sender);
  sender.line = line;
  petiole_frame_channel(&sender, 0, PETIOLE_FRAME_MAX);
  return &sender;
}

static void check_check(char **field) {
  uint8_t bytes[BYTES_MAX];
  uint16_t length = bytes_of(field[1], bytes);
  petiole_check check = petiole_check_bytes(PETIOLE_CHECK_START, bytes, length);
  check = (petiole_check)(check ^ PETIOLE_CHECK_END);
  expect(check == strtoul(field[2], NULL, 16), field[0], field[1]);
}

static void check_sha256(char **field) {
  uint8_t bytes[BYTES_MAX], wanted[BYTES_MAX], digest[32];
  petiole_sha256 hash;
  petiole_sha256_start(&hash);
  petiole_sha256_add(&hash, bytes, bytes_of(field[1], bytes));
  petiole_sha256_end(&hash, digest);
  expect(is_same(digest, sizeof digest, wanted, bytes_of(field[2], wanted)), field[0], field[1]);
}

static void check_cobs(char **field) {
  static petiole_receiver receiver;
  uint8_t plain[BYTES_MAX], encoded[BYTES_MAX];
  uint16_t wanted = bytes_of(field[2], plain);
  uint16_t length = bytes_of(field[3], encoded);
  if (wanted > PETIOLE_FRAME_MAX) return;
  encoded[length++] = 0;
  /* Not a frame: what the receiver makes of the bytes is what counts. */
  feed(&receiver, encoded, length);
  expect(is_same(receiver.frame, receiver.length, plain, wanted), field[0], field[1]);
}

static void check_frame(char **field) {
  static petiole_receiver receiver;
  petiole_sender *sender = empty_sender();
  uint8_t payload[BYTES_MAX], line[BYTES_MAX];
  uint16_t wanted = bytes_of(field[7], payload);
  uint16_t length = bytes_of(field[8], line);
  const uint8_t *frame = receiver.frame;
  if (strcmp(field[2], CHECK_NAME) != 0) return;
  petiole_frame_channel(sender, (uint8_t)atoi(field[6]), PETIOLE_FRAME_MAX);
  petiole_frame_numbered(sender, (uint8_t)atoi(field[3]), (uint8_t)atoi(field[4]), (uint16_t)atoi(field[5]));
  petiole_frame_bytes(sender, payload, wanted);
  petiole_frame_end(sender);
  /* The library puts a zero in front of each frame. */
  expect(is_same(sender->line + 1, (uint16_t)(sender->length - 1), line, length), "encoding of", field[1]);
  expect(feed(&receiver, line, length) == FRAME_SOUND && frame[1] == atoi(field[3]) && frame[2] == atoi(field[4]) &&
             petiole_u16_at(frame + 3) == atoi(field[5]) && frame[5] == atoi(field[6]) &&
             is_same(frame + PETIOLE_HEADER_BYTES, (uint16_t)(receiver.length - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES),
                     payload, wanted),
         "decoding of", field[1]);
}

static void check_bad(char **field) {
  static petiole_receiver receiver;
  uint8_t line[BYTES_MAX];
  uint16_t length = bytes_of(field[3], line);
  expect(feed(&receiver, line, length) == FRAME_BAD, field[2], field[1]);
}

static void check_resync(char **field, int count) {
  static petiole_receiver receiver;
  uint8_t line[BYTES_MAX], payload[BYTES_MAX];
  uint16_t length = bytes_of(field[2], line);
  uint16_t i;
  int next = 3;
  if (PETIOLE_CRC16) return;
  for (i = 0; i < length; i++) {
    uint16_t wanted;
    if (petiole_frame_byte(&receiver, line[i]) != FRAME_SOUND) continue;
    wanted = next < count ? bytes_of(field[next], payload) : BYTES_MAX;
    next++;
    expect(is_same(receiver.frame + PETIOLE_HEADER_BYTES,
                   (uint16_t)(receiver.length - PETIOLE_HEADER_BYTES - PETIOLE_CHECK_BYTES), payload, wanted),
           field[0], field[1]);
  }
  expect(next == count, field[0], field[1]);
}

static const petiole_entity entities[] = {
    {"temperature", "\xc2\xb0" "C", 0.0625f, -40, 125, 1000, PETIOLE_INTEGER, 0},
    {"valve", NULL, 0, 0, 0, 0, PETIOLE_BOOLEAN, 1},
    {"level", "%", 0, 0, 100, 0, PETIOLE_FLOAT, 0},
    {"note", NULL, 0, 0, 0, 0, PETIOLE_TEXT, 1},
};

static void check_describe(char **field) {
  petiole_sender *sender = empty_sender();
  uint8_t payload[BYTES_MAX];
  uint16_t length = bytes_of(field[2], payload);
  uint8_t first = payload[0];
  petiole_describe_entity(sender, &entities[first]);
  petiole_describe_entity(sender, &entities[first + 1]);
  expect(is_same(sender->line + PETIOLE_PLAIN_AT, sender->length, payload + 2, (uint16_t)(length - 2)), field[0], field[1]);
}

static void check_hello(char **field) {
  const char *said = NULL;
  const petiole_config config = {.entities = entities, .entity_count = 4};
  int i;
  if (PETIOLE_CRC16 || strcmp(field[1], "hello-new") != 0) return;
  for (i = 3; i < FIELDS_MAX && field[i] != NULL; i++) {
    if (strncmp(field[i], "description=", 12) == 0) said = field[i];
  }
  expect(said != NULL && petiole_description(empty_sender(), &config) == strtoul(said + 12, NULL, 10), field[0], "description");
}

/* What stands in DATA is read as commands are: items one behind the other. */
static void check_data(char **field) {
  uint8_t payload[BYTES_MAX], item[PETIOLE_CBOR_MAX];
  const uint8_t *at = payload + 4;
  const uint8_t *end = payload + bytes_of(field[2], payload);
  petiole_value value;
  while (at < end) {
    const uint8_t *from = at;
    uint8_t code = petiole_cbor_read(&at, end, &value);
    if (code == PETIOLE_BAD_VALUE) return; /* of more than 32 bits: the edge of what boards take */
    expect(code == PETIOLE_OK, field[0], field[1]);
    if (code != PETIOLE_OK || value.type == PETIOLE_TEXT) continue;
    expect(is_same(item, (uint16_t)(petiole_cbor_value(item, value.type, petiole_cbor_bits(&value)) - item), from,
                   (uint16_t)(at - from)), "writing of", field[1]);
  }
}

int main(int count, char **words) {
  static char line[8192];
  FILE *file = count == 2 ? fopen(words[1], "r") : NULL;
  if (file == NULL) return 2;
  while (fgets(line, sizeof line, file) != NULL) {
    char *field[FIELDS_MAX] = {0};
    int fields = 0;
    char *word;
    for (word = strtok(line, " \n"); word != NULL && fields < FIELDS_MAX; word = strtok(NULL, " \n")) field[fields++] = word;
    if (fields < 3 || field[0][0] == '#') continue;
    if (strcmp(field[0], PETIOLE_CRC16 ? "crc16" : "crc32c") == 0) check_check(field);
    else if (strcmp(field[0], "sha256") == 0) check_sha256(field);
    else if (strcmp(field[0], "cobs") == 0 || strcmp(field[0], "decode") == 0) check_cobs(field);
    else if (strcmp(field[0], "frame") == 0) check_frame(field);
    else if (strcmp(field[0], "bad") == 0) check_bad(field);
    else if (strcmp(field[0], "resync") == 0) check_resync(field, fields);
    else if (strcmp(field[0], "describe") == 0) check_describe(field);
    else if (strcmp(field[0], "hello") == 0) check_hello(field);
    else if (strcmp(field[0], "data") == 0) check_data(field);
  }
  fclose(file);
  printf("%d checked, %d failed\n", checked, failures);
  return failures > 0;
}
