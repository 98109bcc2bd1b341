#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "handle.h"
#include "value.h"

namespace runts {

namespace {

// More than will ever start one container at once.
constexpr int kBacklog = 64;

struct Address {
  struct sockaddr_un un = {};
  socklen_t size = 0;
};

// A path, or after a NUL the name of an abstract address. False when it does not fit.
bool address_of(const std::string& text, Address* address) {
  bool is_path = text[0] != '\0';
  if (text.size() + is_path > sizeof address->un.sun_path) return false;
  address->un.sun_family = AF_UNIX;
  memcpy(address->un.sun_path, text.data(), text.size());
  address->size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + text.size() + is_path);
  return true;
}

// socketListen(path) -> Handle | failure. The kernel makes the file with the mode of the socket (less the umask), so
// that nobody else can connect at any moment. accept4 on it blocks: it is an init's that waits there.
Napi::Value socket_listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Where at;
  Address address;
  if (!address_of(text_of(info[0]), &address)) return failure(env, at, -ENAMETOOLONG);
  Fd socket(check(at, kStepSocket, sys(__NR_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
  if (!socket.ok()) return failure(env, at, socket.get());
  int r = check(at, kStepFchmodat, sys(__NR_fchmod, socket.get(), S_IRUSR | S_IWUSR));
  if (r < 0) return failure(env, at, r);
  r = check(at, kStepOp, sys(__NR_bind, socket.get(), &address.un, address.size));
  if (r < 0) return failure(env, at, r);
  r = check(at, kStepOp, sys(__NR_listen, socket.get(), kBacklog));
  return r < 0 ? failure(env, at, r) : new_handle(env, static_cast<Fd&&>(socket));
}

// socketConnect(packets, address) -> Handle | failure: a non-blocking socket. EAGAIN: more wait there than it takes.
Napi::Value socket_connect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Where at;
  int type = truth_of(info[0]) ? SOCK_SEQPACKET : SOCK_STREAM;
  Address address;
  if (!address_of(text_of(info[1]), &address)) return failure(env, at, -ENAMETOOLONG);
  Fd socket(check(at, kStepSocket, sys(__NR_socket, AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (!socket.ok()) return failure(env, at, socket.get());
  int r = check(at, kStepOp, sys(__NR_connect, socket.get(), &address.un, address.size));
  return r < 0 ? failure(env, at, r) : new_handle(env, static_cast<Fd&&>(socket));
}

// socketPair(packets) -> {ours, theirs} | failure: two connected sockets; only ours is non-blocking.
Napi::Value socket_pair(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Where at;
  int ends[2];
  int type = truth_of(info[0]) ? SOCK_SEQPACKET : SOCK_STREAM;
  int r = check(at, kStepSocket, sys(__NR_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
  if (r < 0) return failure(env, at, r);
  Fd ours(ends[0]), theirs(ends[1]);
  r = check(at, kStepFcntl, sys(__NR_fcntl, ours.get(), F_SETFL, O_NONBLOCK));
  if (r < 0) return failure(env, at, r);
  // Much goes over it, between two processes that need not wait for one another; less is had without the right to more.
  int room = 4 << 20;
  if (sys(__NR_setsockopt, ours.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0) {
    (void)sys(__NR_setsockopt, ours.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }
  Napi::Object pair = Napi::Object::New(env);
  pair.Set("ours", new_handle(env, static_cast<Fd&&>(ours)));
  pair.Set("theirs", new_handle(env, static_cast<Fd&&>(theirs)));
  return pair;
}

// socketSend(socket, bytes, handles) -> number | failure: how many bytes were taken; all handles go with the first.
Napi::Value socket_send(const Napi::CallbackInfo& info) {
  Bytes bytes = bytes_of(info[1]);
  struct iovec vector = {bytes.data, bytes.size};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Rights rights = {};
  add_rights(message, rights, info[2].As<Napi::Array>());
  Where at;
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_sendmsg, fd_of(info[0]), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  int sent = check(at, kStepSendmsg, r);
  return sent < 0 ? failure(info.Env(), at, sent) : Napi::Number::New(info.Env(), sent);
}

}  // namespace

void define_sockets(Napi::Env env, Napi::Object exports) {
  exports.Set("socketListen", Napi::Function::New<socket_listen>(env, "socketListen"));
  exports.Set("socketConnect", Napi::Function::New<socket_connect>(env, "socketConnect"));
  exports.Set("socketPair", Napi::Function::New<socket_pair>(env, "socketPair"));
  exports.Set("socketSend", Napi::Function::New<socket_send>(env, "socketSend"));
}

}  // namespace runts
