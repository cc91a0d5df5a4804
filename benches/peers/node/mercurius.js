import Fastify from 'fastify'
import mercurius from 'mercurius'
import { isKnown, ready, resolvers, typeDefs } from './account.js'

const app = Fastify()
app.register(mercurius, {
  schema: typeDefs,
  resolvers,
  // Compiles an operation the first time it is asked.
  jit: 1,
  context: request => ({ isKnown: isKnown(request.headers.authorization) })
})
await app.listen({ host: '127.0.0.1', port: 0 })
ready(app.server.address().port)
