/** Names that x86_64 has and x32 (32-bit pointers in 64-bit mode) has not. */
export const notInX32 = `
  uselib _sysctl create_module get_kernel_syms query_module nfsservctl set_thread_area get_thread_area epoll_ctl_old
  epoll_wait_old vserver map_shadow_stack
`;

/**
 * The calls whose structures hold pointers, which x32 numbers apart; everything else has x86_64's number. The numbers
 * are those of the kernel's table: a process makes the call with `x32Bit` of arch.ts set in it.
 */
export const x32Only = `
  512 rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace rt_sigpending rt_sigtimedwait
  rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid set_robust_list get_robust_list vmsplice
  move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv process_vm_writev setsockopt
  getsockopt io_setup io_submit execveat preadv2 pwritev2
`;
