"""Threads for file work, with deadlines: a disk that does not answer blocks neither a caller nor the end of the process."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import Any, override


class DiskHangs(TimeoutError):
    """The disk did not answer in time. `running` is the work that was begun and goes on; None = it never began."""

    def __init__(self, running: Future[Any] | None = None) -> None:
        """Prepare the sentence."""
        super().__init__("the storage does not answer")
        self.running = running


# By root, threads that were left behind because their disk hung: what they have begun may still be done.
_left: dict[Path, set[Thread]] = {}


class DiskThreads(Executor):
    """A few threads. They are daemons, since the interpreter would wait for one that hangs when it exits.

    With a `root`, nothing is begun before the threads that a predecessor left behind there have ended.
    """

    def __init__(self, count: int, name: str, root: Path | None = None) -> None:
        """Prepare; a thread is started when there is work for it."""
        self._root = root
        self._count = count
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            SimpleQueue()
        )
        self._threads: list[Thread] = []
        self._busy = 0  # queued or running
        self._lock = Lock()
        self._is_shut_down = False

    @override
    def submit[**P, T](
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Queue work; raises RuntimeError after shutdown()."""
        future: Future[T] = Future()
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("the threads are shut down")
            self._busy += 1
            self._queue.put((future, lambda: fn(*args, **kwargs)))
            if len(self._threads) < min(self._count, self._busy):
                thread = Thread(
                    target=self._work,
                    name=f"{self._name}_{len(self._threads)}",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()
        return future

    async def run[T](self, job: Callable[[], T], deadline_s: float | None) -> T:
        """Run a job in a thread; raises DiskHangs when it is not done in time."""
        if self._root is not None and _is_left(self._root):
            raise DiskHangs
        future = self.submit(job)
        waiter = asyncio.wrap_future(future)
        waiter.add_done_callback(_retrieve)
        # A caller that is cancelled leaves; what has begun goes on.
        done, _ = await asyncio.wait({waiter}, timeout=deadline_s)
        if done:
            return waiter.result()
        raise DiskHangs(None if future.cancel() else future)

    def after(
        self, begun: Collection[Future[Any]], job: Callable[[], object]
    ) -> Future[None]:
        """Run a job once overdue work has ended, whenever that is: also after shutdown()."""
        done: Future[None] = Future()
        running = len(begun)
        lock = Lock()

        def run() -> None:
            try:
                job()
            except BaseException as err:  # noqa: BLE001 - nobody may wait for it any more
                done.set_exception(err)
            else:
                done.set_result(None)

        def ended(_: Future[Any]) -> None:
            nonlocal running
            with lock:
                running -= 1
                if running:
                    return
            if current_thread() in self._threads:
                run()
            else:
                self.submit(run)

        for future in begun:
            future.add_done_callback(ended)
        return done

    @override
    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Take no more work; `wait` for what is queued, at most `timeout_s`. Blocking."""
        with self._lock:
            self._is_shut_down = True
            if cancel_futures:
                with suppress(Empty):
                    while item := self._queue.get_nowait():
                        item[0].cancel()
            for _ in self._threads:
                self._queue.put(None)
        if wait:
            end = None if timeout_s is None else monotonic() + timeout_s
            for thread in self._threads:
                thread.join(None if end is None else max(0.0, end - monotonic()))
        if self._root is not None:
            _left.setdefault(self._root, set()).update(self._threads)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, job = item
            if future.set_running_or_notify_cancel():
                try:
                    result = job()
                except BaseException as err:  # noqa: BLE001 - it belongs to the caller
                    future.set_exception(err)
                else:
                    future.set_result(result)
            del item, future, job
            with self._lock:
                self._busy -= 1


def _is_left(root: Path) -> bool:
    """Return whether a thread of a predecessor is still at work."""
    left = {thread for thread in _left.get(root, ()) if thread.is_alive()}
    if left:
        _left[root] = left
    else:
        _left.pop(root, None)
    return bool(left)


async def complete[T](work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, and wait for it also when cancelled; only then the cancellation goes on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as err:
            cancelled = err
    if cancelled is not None:
        _retrieve(task)
        raise cancelled
    return task.result()


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Take the outcome of work that nobody may wait for any more."""
    if not future.cancelled():
        future.exception()
