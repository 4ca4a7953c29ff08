#include "simulator.h"

/* xorshift64*: the same for the same seed, everywhere. */
static double drawn(bad_line *line) {
  line->random ^= line->random >> 12;
  line->random ^= line->random << 25;
  line->random ^= line->random >> 27;
  return (double)(line->random * 2685821657736338717ull >> 11) / 9007199254740992.0;
}

size_t bad_line_room(bad_line *line, size_t length, double now) {
  /* What a USB adapter and its driver hold at once; a machine that is late by less loses nothing of the line. */
  /* What a USB adapter holds at once: a machine that is late by less than that takes nothing from the line. */
  const double credit_max = 512;
  if (line->rate <= 0) return length;
  line->credit += (now - line->at) * line->rate;
  line->at = now;
  if (line->credit > credit_max) line->credit = credit_max;
  if ((double)length > line->credit) length = (size_t)line->credit;
  line->credit -= (double)length;
  return length;
}

size_t bad_line_pass(bad_line *line, uint8_t byte, uint8_t to[2]) {
  if (line->drop > 0 && drawn(line) < line->drop) return 0;
  if (line->flip > 0 && drawn(line) < 8 * line->flip) byte ^= (uint8_t)(1u << (unsigned)(drawn(line) * 8));
  to[0] = to[1] = byte;
  return line->duplicate > 0 && drawn(line) < line->duplicate ? 2 : 1;
}
