// Messages with descriptors (SCM_RIGHTS).
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "../addon/rights.h"
#include "value.h"

namespace runts {

namespace {

// send(socket, bytes, descriptors) -> number: how many bytes were taken, or -errno; the descriptors go with the first.
JSValue send(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes bytes(js, arguments[1]);
  uint32_t count = length_of(js, arguments[2]);
  if (count > kHandlesMax) return number(js, -EINVAL);
  struct iovec vector = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Rights rights = {};
  add_rights(message, rights, count, [&](uint32_t i) { return descriptor_at(js, arguments[2], i); });
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_sendmsg, number_of(js, arguments[0]), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return number(js, r);
}

// Every descriptor of a received message, in a list of JavaScript.
JSValue descriptors(JSContext* js, struct msghdr* message) {
  JSValue list = JS_NewArray(js);
  uint32_t at = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      JS_SetPropertyUint32(js, list, at++, JS_NewInt32(js, fd));
    }
  }
  return list;
}

// receive(socket, bytes) -> -errno | {size, descriptors, cut}; `cut`: an errno where not all of it could be received.
JSValue receive(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes bytes(js, arguments[1]);
  Rights rights;
  struct iovec vector = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = rights.bytes;
  message.msg_controllen = sizeof rights.bytes;
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_recvmsg, number_of(js, arguments[0]), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (r < 0) return number(js, r);
  JSValue object = JS_NewObject(js);
  int cut = message.msg_flags & MSG_CTRUNC ? EMFILE : message.msg_flags & MSG_TRUNC ? EMSGSIZE : 0;
  JS_SetPropertyStr(js, object, "size", number(js, r));
  JS_SetPropertyStr(js, object, "descriptors", descriptors(js, &message));
  JS_SetPropertyStr(js, object, "cut", JS_NewInt32(js, cut));
  return object;
}

}  // namespace

void define_messages(JSContext* js, JSValueConst object) {
  define(js, object, "send", send, 3);
  define(js, object, "receive", receive, 2);
}

}  // namespace runts
