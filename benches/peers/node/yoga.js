import { createServer } from 'node:http'
import { createSchema, createYoga } from 'graphql-yoga'
import { isKnown, ready, resolvers, typeDefs } from './account.js'

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: ({ request }) => ({ isKnown: isKnown(request.headers.get('authorization')) })
})
const server = createServer(yoga)
server.listen(0, '127.0.0.1', () => ready(server.address().port))
