/*
 * A disk that a test rules: loaded into a process by LD_PRELOAD. It writes down what happens to the files below DISK_ROOT
 * (DISK_LOG), from which a power cut can be played back at any point, and it fails or delays on demand (DISK_CONTROL).
 *
 * The log is a run of: u8 op, u16 length of path, u64 offset, u32 length of data, path, data; little-endian.
 *   W write (offset, bytes)   T truncate (to offset)   S fsync, of a file or a folder   C a file was made
 *   M a folder was made       U unlinked               N renamed (data: the new path)
 *
 * DISK_CONTROL is a file of int32, mapped: errno of reads, of writes, of fsync, milliseconds that each fsync takes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int log_fd = -1;
static const char *root;
static volatile int32_t *control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum { READ_ERRNO, WRITE_ERRNO, SYNC_ERRNO, SYNC_MS, CONTROLS };

#define REAL(ret, name, ...) static ret (*real_##name)(__VA_ARGS__)
REAL(ssize_t, pread, int, void *, size_t, off_t);
REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, writev, int, const struct iovec *, int);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, ftruncate, int, off_t);
REAL(int, unlink, const char *);
REAL(int, rename, const char *, const char *);
REAL(int, mkdir, const char *, mode_t);
REAL(int, open, const char *, int, ...);

/* Other libraries' constructors may call us before our own has run. */
__attribute__((constructor)) static void begin(void) {
  if (real_open) return;
#define FIND(name) real_##name = dlsym(RTLD_NEXT, #name)
  FIND(open);
  FIND(pread); FIND(pwrite); FIND(write); FIND(writev); FIND(fsync); FIND(fdatasync); FIND(ftruncate);
  FIND(unlink); FIND(rename); FIND(mkdir);
  root = getenv("DISK_ROOT");
  const char *name = getenv("DISK_LOG");
  if (root && name) log_fd = real_open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  name = getenv("DISK_CONTROL");
  int fd = root && name ? real_open(name, O_RDWR | O_CLOEXEC) : -1;
  if (fd >= 0) {
    void *at = mmap(NULL, CONTROLS * sizeof(int32_t), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) control = at;
    close(fd);
  }
}

static int below(const char *path) { return root && !strncmp(path, root, strlen(root)); }

/* Only files below the root are ruled: sockets, pipes and libraries are none of ours. */
static int path_of(int fd, char *path) {
  char link[64];
  if (!root) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return below(path);
}

static void note(char op, const char *path, uint64_t offset, const void *data, uint32_t length) {
  if (log_fd < 0) return;
  uint16_t path_length = strlen(path);
  char head[15];
  head[0] = op;
  memcpy(head + 1, &path_length, 2);
  memcpy(head + 3, &offset, 8);
  memcpy(head + 11, &length, 4);
  struct iovec parts[3] = {{head, 15}, {(void *)path, path_length}, {(void *)data, length}};
  pthread_mutex_lock(&lock);
  real_writev(log_fd, parts, data && length ? 3 : 2);
  pthread_mutex_unlock(&lock);
}

static int fails(int which) {
  if (!control || control[which] == 0) return 0;
  errno = control[which];
  return 1;
}

ssize_t pread(int fd, void *data, size_t n, off_t at) {
  begin();
  char path[PATH_MAX];
  if (control && control[READ_ERRNO] && path_of(fd, path) && fails(READ_ERRNO)) return -1;
  return real_pread(fd, data, n, at);
}
ssize_t pread64(int fd, void *data, size_t n, off_t at) { return pread(fd, data, n, at); }

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
  begin();
  char path[PATH_MAX];
  int ruled = path_of(fd, path);
  if (ruled && fails(WRITE_ERRNO)) return -1;
  ssize_t done = real_pwrite(fd, data, n, at);
  if (done > 0 && ruled) note('W', path, at, data, done);
  return done;
}
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) { return pwrite(fd, data, n, at); }

ssize_t write(int fd, const void *data, size_t n) {
  begin();
  char path[PATH_MAX];
  if (fd == log_fd || !path_of(fd, path)) return real_write(fd, data, n);
  if (fails(WRITE_ERRNO)) return -1;
  off_t at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
  ssize_t done = real_write(fd, data, n);
  if (done > 0) note('W', path, at, data, done);
  return done;
}

static int synced(int fd, int (**real)(int)) {
  begin();
  char path[PATH_MAX];
  if (!path_of(fd, path)) return (*real)(fd);
  if (control && control[SYNC_MS] > 0) usleep(control[SYNC_MS] * 1000);
  if (fails(SYNC_ERRNO)) return -1;
  int done = (*real)(fd);
  if (done == 0) note('S', path, 0, NULL, 0);
  return done;
}
int fsync(int fd) { return synced(fd, &real_fsync); }
int fdatasync(int fd) { return synced(fd, &real_fdatasync); }

int ftruncate(int fd, off_t n) {
  begin();
  char path[PATH_MAX];
  int ruled = path_of(fd, path);
  if (ruled && fails(WRITE_ERRNO)) return -1;
  int done = real_ftruncate(fd, n);
  if (done == 0 && ruled) note('T', path, n, NULL, 0);
  return done;
}
int ftruncate64(int fd, off_t n) { return ftruncate(fd, n); }

int unlink(const char *path) {
  begin();
  int done = real_unlink(path);
  if (done == 0 && below(path)) note('U', path, 0, NULL, 0);
  return done;
}

int rename(const char *from, const char *to) {
  begin();
  int done = real_rename(from, to);
  if (done == 0 && below(from)) note('N', from, 0, to, strlen(to));
  return done;
}

int mkdir(const char *path, mode_t mode) {
  begin();
  int done = real_mkdir(path, mode);
  if (done == 0 && below(path)) note('M', path, 0, NULL, 0);
  return done;
}

static int opened(const char *path, int flags, mode_t mode) {
  begin();
  int makes = (flags & O_CREAT) && below(path);
  if (makes && control && control[WRITE_ERRNO] == ENOSPC && access(path, F_OK) != 0) {
    errno = ENOSPC;
    return -1;
  }
  int fresh = makes && access(path, F_OK) != 0;
  int fd = real_open(path, flags, mode);
  if (fd >= 0 && fresh) note('C', path, 0, NULL, 0);
  else if (fd >= 0 && (flags & O_TRUNC) && below(path)) note('T', path, 0, NULL, 0);
  return fd;
}
#define OPENED \
  mode_t mode = 0; \
  if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; \
    va_start(rest, flags); \
    mode = va_arg(rest, mode_t); \
    va_end(rest); \
  } \
  return opened(path, flags, mode);
int open(const char *path, int flags, ...) { OPENED }
int open64(const char *path, int flags, ...) { OPENED }
