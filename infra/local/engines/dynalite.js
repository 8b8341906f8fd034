// Runs in dynalite before its own code. Node closes a connection that has been
// idle for 5 s, even if a request has come in that it was too busy to read. The
// caller can't tell whether that request took effect, so connections stay open
// for as long as the caller wants.

import http from 'node:http'

const createServer = http.createServer

http.createServer = function (...args) {
  const server = createServer(...args)
  server.keepAliveTimeout = 0
  return server
}
