import { ApolloServer } from '@apollo/server'
import { startStandaloneServer } from '@apollo/server/standalone'
import { isKnown, ready, resolvers, typeDefs } from './account.js'

const server = new ApolloServer({ typeDefs, resolvers })
const { url } = await startStandaloneServer(server, {
  listen: { host: '127.0.0.1', port: 0 },
  context: async ({ req }) => ({ isKnown: isKnown(req.headers.authorization) })
})
ready(new URL(url).port)
