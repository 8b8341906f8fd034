// Runs in dynalite before its own code.

import http from 'node:http'
import { createRequire } from 'node:module'

// Node closes a connection that has been idle for 5 s, even if a request has come in
// that it was too busy to read. The caller can't tell whether that request took
// effect, so connections stay open for as long as the caller wants.
const createServer = http.createServer

http.createServer = function (...args) {
  const server = createServer(...args)
  server.keepAliveTimeout = 0
  return server
}

// dynalite ends what it reads a table with by a method that those of its database do
// not have, so that each query and scan would keep its memory, and all that was in the
// table, forever.
const { AbstractKeyIterator, AbstractValueIterator } = createRequire(process.argv[1])('abstract-level')

for (const iterator of [AbstractKeyIterator, AbstractValueIterator]) {
  iterator.prototype.return = function () {
    return this.close()
  }
}
