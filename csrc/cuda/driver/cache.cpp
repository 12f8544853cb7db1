// SPDX-License-Identifier: Apache-2.0
// A file: a line of magic, key and checksum; the sizes of cubin and log; both of them.
#include "cuda/driver/cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "core/cache_folder.h"
#include "core/sha256.h"

namespace striate::cuda {
namespace {

constexpr char kMagic[] = "striate-cubin-1";

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  operator int() const { return descriptor_; }

 private:
  int descriptor_;
};

std::string folder_of() {
  const std::string parent = cache_folder();
  return parent.empty() ? "" : parent + "/cuda";
}

// Makes the folder and those above it, for the user alone.
void make_folder(const std::string& folder) {
  for (size_t at = folder.find('/', 1); at != std::string::npos; at = folder.find('/', at + 1))
    mkdir(folder.substr(0, at).c_str(), 0700);
  mkdir(folder.c_str(), 0700);
}

std::string why_not(const std::string& folder) {
  if (folder.empty()) return "no home folder; set STRIATE_CACHE_DIR";
  struct stat found;
  if (lstat(folder.c_str(), &found) != 0)
    return folder + ": " + std::strerror(errno) + "; set STRIATE_CACHE_DIR";
  if (!S_ISDIR(found.st_mode)) return folder + " is no folder";
  if (found.st_uid != geteuid()) return folder + " is another user's; set STRIATE_CACHE_DIR";
  if (found.st_mode & 077) return folder + " is open to other users; run chmod 700 on it";
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return folder + " can't be written; set STRIATE_CACHE_DIR";
  return "";
}

std::string usable_folder() {
  const std::string folder = folder_of();
  if (!folder.empty()) make_folder(folder);
  return why_not(folder).empty() ? folder : "";
}

std::string path_of(const std::string& folder, const std::string& name, const std::string& key) {
  return folder + "/" + name + "-" + key.substr(0, 16) + ".cubin";
}

std::string head_of(const std::string& key, const std::string& body) {
  return std::string(kMagic) + " " + key + " " + sha256(body) + "\n";
}

bool read_all(int descriptor, std::string& text) {
  char part[1 << 16];
  for (;;) {
    const ssize_t got = read(descriptor, part, sizeof(part));
    if (got == 0) return true;
    if (got < 0 && errno != EINTR) return false;
    if (got > 0) text.append(part, size_t(got));
  }
}

bool write_all(int descriptor, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t put = write(descriptor, text.data() + done, text.size() - done);
    if (put < 0 && errno != EINTR) return false;
    if (put > 0) done += size_t(put);
  }
  return true;
}

bool ours(int descriptor) {
  struct stat found;
  return fstat(descriptor, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == geteuid() &&
         (found.st_mode & 022) == 0;
}

bool is_cubin(const char* name) {
  const size_t size = std::strlen(name);
  return size > 6 && std::strcmp(name + size - 6, ".cubin") == 0;
}

}  // namespace

CacheState cache_state() {
  CacheState state{folder_of(), "", 0, 0};
  usable_folder();
  state.why_not = why_not(state.folder);
  DIR* entries = state.why_not.empty() ? opendir(state.folder.c_str()) : nullptr;
  if (entries == nullptr) return state;
  while (const dirent* entry = readdir(entries)) {
    struct stat found;
    if (!is_cubin(entry->d_name) || fstatat(dirfd(entries), entry->d_name, &found, 0) != 0)
      continue;
    ++state.files, state.bytes += size_t(found.st_size);
  }
  closedir(entries);
  return state;
}

bool read_cache(const std::string& name, const std::string& key, Compiled& found) {
  const std::string folder = usable_folder();
  if (folder.empty()) return false;
  const File file(open(path_of(folder, name, key).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  std::string text;
  if (file < 0 || !ours(file) || !read_all(file, text)) return false;
  const size_t line = text.find('\n');
  if (line == std::string::npos) return false;
  const std::string body = text.substr(line + 1);
  uint64_t code;
  if (text.substr(0, line + 1) != head_of(key, body) || body.size() < sizeof(code)) return false;
  std::memcpy(&code, body.data(), sizeof(code));
  if (code > body.size() - sizeof(code)) return false;
  found.code = body.substr(sizeof(code), code);
  found.log = body.substr(sizeof(code) + code);
  return true;
}

void write_cache(const std::string& name, const std::string& key, const Compiled& made) {
  const std::string folder = usable_folder();
  if (folder.empty()) return;
  const uint64_t code = made.code.size();
  std::string body(sizeof(code), 0);
  std::memcpy(&body[0], &code, sizeof(code));
  body += made.code + made.log;
  std::string beside = folder + "/new-XXXXXX";
  const File file(mkostemp(&beside[0], O_CLOEXEC));  // 0600
  if (file < 0) return;
  const bool whole = write_all(file, head_of(key, body) + body);
  if (!whole || rename(beside.c_str(), path_of(folder, name, key).c_str()) != 0)
    unlink(beside.c_str());
}

}  // namespace striate::cuda
